// Package tpm is the vault's slot that a TPM 2.0 opens with a PIN.
//
// The slot's secret is a sealed object under the TPM's storage root key (the
// TCG's ECC P-256 template), which only that chip can load. Its policy is
// PolicyAuthValue, the PIN, and if asked for PolicyPCR of PCR 7, the state of
// Secure Boot. The chip counts wrong PINs and refuses for a time after too many,
// so a short PIN is enough against somebody who has the machine. What crosses
// the bus is encrypted by a session whose salt is sealed to the root key, and
// the root key is compared with the one from the day of sealing.
//
// PCR 7 changes with firmware and with updates of the revocation list; the slot
// does not open then. Keep a passphrase or recovery slot beside every TPM slot,
// for that and for the day the mainboard breaks.
//
// What it does not do. It does not know who made the chip: on the day of sealing
// an interposer on the bus could be the chip. Windows' TPM service and macOS'
// Secure Enclave are not built. Only swtpm was tested; physical chips were not.
package tpm

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault"
)

// The errors of this package.
var (
	ErrNoTPM   = errors.New("no TPM 2.0 can be used")
	ErrPIN     = errors.New("PIN is wrong; the TPM counts these")
	ErrShort   = errors.New("PIN is too short")
	ErrLockout = errors.New("TPM refuses all PINs for a time, after too many wrong ones")
	ErrBoot    = errors.New("boot state (PCR 7) is not the one from when the slot was made; unlock in another way and replace the slot")
	ErrOther   = errors.New("slot belongs to another TPM, or this one was cleared")
	ErrData    = errors.New("slot's data is not of this package")
)

// MinPIN is the least number of bytes of a new PIN.
const MinPIN = 4

const labelPIN = "cipherdeck/vault/v2/tpm-pin"

// Opener connects to a TPM; Device gives one.
type Opener func() (transport.TPMCloser, error)

// Options of a slot.
type Options struct {
	PCR7 bool // opens only while the state of Secure Boot is as now
}

// sealed is the data of a slot.
type sealed struct {
	Version uint8  `cbor:"1,keyasint"` // 1
	Root    []byte `cbor:"2,keyasint"` // name of the storage root key, 34 bytes
	Public  []byte `cbor:"3,keyasint"` // TPMT_PUBLIC
	Private []byte `cbor:"4,keyasint"` // contents of TPM2B_PRIVATE
	PCR7    bool   `cbor:"5,keyasint"`
}

// Slot is a slot that the TPM of dev opens with pin. Making it fails with
// ErrNoTPM, ErrShort, or what the TPM says. The caller keeps pin until the slot
// is made, and wipes it then.
func Slot(dev Opener, pin []byte, o Options) vault.NewSlot {
	return vault.DeviceSlot(vault.SlotTPM, "TPM", func(_ context.Context, secret []byte) ([]byte, error) {
		if len(pin) < MinPIN {
			return nil, fmt.Errorf("%w: %d bytes, want at least %d", ErrShort, len(pin), MinPIN)
		}
		return with(dev, func(c *chip) ([]byte, error) { return c.seal(secret, pin, o) })
	})
}

// Unlocker opens such a slot. vault.Open fails with ErrPIN, ErrLockout, ErrBoot,
// ErrOther, ErrData or ErrNoTPM.
func Unlocker(dev Opener, pin []byte) vault.Unlocker {
	return vault.FromDevice(vault.SlotTPM, func(_ context.Context, data []byte) ([]byte, error) {
		var s sealed
		if err := doc.Decode(data, &s); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrData, err)
		}
		if s.Version != 1 || len(s.Root) != 2+sha256.Size || len(s.Public) > 512 || len(s.Private) > 512 {
			return nil, fmt.Errorf("%w: version %d with fields of %d, %d and %d bytes", ErrData, s.Version, len(s.Root), len(s.Public), len(s.Private))
		}
		return with(dev, func(c *chip) ([]byte, error) { return c.unseal(s, pin) })
	})
}

// chip is an open TPM and its storage root key.
type chip struct {
	transport.TPM
	root   tpm2.NamedHandle
	public tpm2.TPMTPublic
}

// with opens the TPM and makes its root key, which is the same each time until
// the chip is cleared.
func with(dev Opener, f func(*chip) ([]byte, error)) ([]byte, error) {
	t, err := dev()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoTPM, err)
	}
	defer t.Close()
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHOwner,
		InPublic:      tpm2.New2B(tpm2.ECCSRKTemplate),
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("%w: storage root key: %v", ErrNoTPM, err)
	}
	defer flush(t, made.ObjectHandle) // there is room for three objects
	public, err := made.OutPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: storage root key: %v", ErrNoTPM, err)
	}
	name := sha256.Sum256(made.OutPublic.Bytes())
	c := &chip{t, tpm2.NamedHandle{Handle: made.ObjectHandle, Name: tpm2.TPM2BName{Buffer: append([]byte{0, 0x0b}, name[:]...)}}, *public}
	if !bytes.Equal(c.root.Name.Buffer, made.Name.Buffer) {
		return nil, fmt.Errorf("%w: its root key has not the name that it says", ErrNoTPM)
	}
	return f(c)
}

func flush(t transport.TPM, h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(t)
}

// parent is the root key with a session that encrypts and authenticates.
func (c *chip) parent() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: c.root.Handle, Name: c.root.Name,
		Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Salted(c.root.Handle, c.public), tpm2.AESEncryption(128, tpm2.EncryptIn))}
}

func (c *chip) seal(secret, pin []byte, o Options) ([]byte, error) {
	auth, err := authOf(pin)
	if err != nil {
		return nil, err
	}
	defer clear(auth)
	policy, err := c.policy(o)
	if err != nil {
		return nil, err
	}
	made, err := tpm2.Create{
		ParentHandle: c.parent(),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			UserAuth: tpm2.TPM2BAuth{Buffer: auth},
			Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			// Not NoDA: wrong PINs count. Not UserWithAuth: only the policy opens.
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		}),
	}.Execute(c)
	if err != nil {
		return nil, fmt.Errorf("seal in the TPM: %w", err)
	}
	return doc.Encode(sealed{Version: 1, Root: c.root.Name.Buffer, Public: made.OutPublic.Bytes(), Private: made.OutPrivate.Buffer, PCR7: o.PCR7})
}

func (c *chip) unseal(s sealed, pin []byte) ([]byte, error) {
	if !bytes.Equal(s.Root, c.root.Name.Buffer) {
		return nil, ErrOther
	}
	auth, err := authOf(pin)
	if err != nil {
		return nil, err
	}
	defer clear(auth)
	loaded, err := tpm2.Load{
		ParentHandle: c.parent(),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: s.Private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](s.Public),
	}.Execute(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrOther, err)
	}
	defer flush(c, loaded.ObjectHandle)
	steps := func(t transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		if s.PCR7 {
			if _, err := (tpm2.PolicyPCR{PolicySession: session, Pcrs: pcr7()}).Execute(t); err != nil {
				return err
			}
		}
		_, err := tpm2.PolicyAuthValue{PolicySession: session}.Execute(t)
		return err
	}
	out, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name,
		Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, steps, tpm2.Auth(auth),
			tpm2.Salted(c.root.Handle, c.public), tpm2.AESEncryption(128, tpm2.EncryptOut))}}.Execute(c)
	if err != nil {
		return nil, named(err)
	}
	return out.OutData.Buffer, nil
}

// named says which of the conditions failed.
func named(err error) error {
	switch {
	case errors.Is(err, tpm2.TPMRCAuthFail):
		return ErrPIN
	case errors.Is(err, tpm2.TPMRCLockout):
		return ErrLockout
	case errors.Is(err, tpm2.TPMRCPolicyFail):
		return ErrBoot
	}
	return fmt.Errorf("open what is sealed in the TPM: %w", err)
}

// policy is the digest of the steps that unseal takes.
func (c *chip) policy(o Options) ([]byte, error) {
	p, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	if o.PCR7 {
		now, err := tpm2.PCRRead{PCRSelectionIn: pcr7()}.Execute(c)
		if err != nil {
			return nil, fmt.Errorf("read PCR 7: %w", err)
		}
		if len(now.PCRValues.Digests) != 1 {
			return nil, fmt.Errorf("%w: it has no SHA-256 PCR 7", ErrNoTPM)
		}
		sum := sha256.Sum256(now.PCRValues.Digests[0].Buffer)
		if err := (tpm2.PolicyPCR{Pcrs: pcr7(), PcrDigest: tpm2.TPM2BDigest{Buffer: sum[:]}}).Update(p); err != nil {
			return nil, err
		}
	}
	if err := (tpm2.PolicyAuthValue{}).Update(p); err != nil {
		return nil, err
	}
	return p.Hash().Digest, nil
}

func pcr7() tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(7)}}}
}

// authOf makes a PIN of any length the 32 bytes that the TPM compares.
func authOf(pin []byte) ([]byte, error) { return hkdf.Key(sha256.New, pin, nil, labelPIN, 32) }

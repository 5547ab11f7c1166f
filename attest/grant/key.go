// Package grant is the key by which a machine shows, job by job, that it is
// still what it was when it was granted work.
//
// The key lives in the machine's TPM, certified by the attestation key, and
// agrees on secrets only while the registers have the values that they had when
// it was made. It is a primary key of the null hierarchy, whose seed is another
// one after every reset: a machine that was restarted cannot make it again, and
// one that was changed cannot use it.
//
// Who has data draws a fresh key for each job and seals it to the machine's key
// (Seal), bound to the Terms of that job. The machine opens it (Open) and shows
// in its result that it could. Nothing else is ever sealed to it: no epoch key of
// a project, nothing that opens another job.
//
// What it cannot show: that the program which opened the key did the work well,
// or that root on that machine did not ask the TPM to open it. The measured,
// locked image is the defence there.
package grant

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"sync"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
	"cipherdeck/attest/tpm2"
)

// The errors of a key.
var (
	// ErrState is wrapped when the registers are not those of the key's policy.
	ErrState = errors.New("the machine was changed since its key was made")
	// ErrGone is wrapped when the TPM was reset since the key was made.
	ErrGone = errors.New("the machine was restarted since its key was made")
)

// tries is how often a use starts again when some register moved under it: any
// will do, also one that the policy is not about.
const tries = 5

// Key is a key in a TPM, for any number of goroutines. It takes one of the TPM's
// few slots only while it is used, so there is nothing to close.
type Key struct {
	Point []byte // uncompressed point on P-256, the HPKE public key

	tpm    transport.TPM
	bank   attest.Bank
	pcrs   []uint8
	public *ecdh.PublicKey
	area   gotpm.TPMTPublic
	name   gotpm.TPM2BName

	rawArea, attest, sig []byte

	mu    sync.Mutex
	saved gotpm.TPMSContext
}

var _ ecdh.KeyExchanger = (*Key)(nil)

// NewKey makes a key of tpm that works while pcrs of bank, ascending, have the
// values that they have now, and has ak certify it. Measure first, then make the
// key. One slot of the TPM must be free.
func NewKey(tpm transport.TPM, ak *tpm2.AK, bank attest.Bank, pcrs []uint8) (*Key, error) {
	values, err := tpm2.ReadPCRs(tpm, bank, pcrs)
	if err != nil {
		return nil, err
	}
	r, err := gotpm.CreatePrimary{
		PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHNull, Auth: gotpm.PasswordAuth(nil)},
		InPublic:      gotpm.New2B(template(tpm2.PolicyPCR(bank, values))),
	}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("create job key: %w", err)
	}
	k := &Key{tpm: tpm, bank: bank, pcrs: pcrs, name: r.Name, rawArea: bytes.Clone(r.OutPublic.Bytes())}
	err = k.adopt(r.ObjectHandle, ak, values)
	if err := errors.Join(err, flush(tpm, r.ObjectHandle)); err != nil {
		return nil, fmt.Errorf("create job key: %w", err)
	}
	return k, nil
}

// adopt certifies and saves the loaded key, and checks what others will check.
func (k *Key) adopt(handle gotpm.TPMHandle, ak *tpm2.AK, values []attest.PCRValue) error {
	bind := tpm2.CertifyBind()
	c, err := gotpm.Certify{
		ObjectHandle:   gotpm.AuthHandle{Handle: handle, Name: k.name, Auth: gotpm.PasswordAuth(nil)},
		SignHandle:     gotpm.AuthHandle{Handle: ak.Handle, Name: ak.Name, Auth: gotpm.PasswordAuth(nil)},
		QualifyingData: gotpm.TPM2BData{Buffer: bind[:]},
		InScheme:       gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull},
	}.Execute(k.tpm)
	if err != nil {
		return fmt.Errorf("certify: %w", err)
	}
	k.attest, k.sig = bytes.Clone(c.CertifyInfo.Bytes()), gotpm.Marshal(c.Signature)
	s, err := gotpm.ContextSave{SaveHandle: handle}.Execute(k.tpm)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	k.saved = s.Context
	signer, err := tpm2.ParseAK(ak.Public)
	if err != nil {
		return err
	}
	certified, err := tpm2.CheckCertified(signer, k.rawArea, k.attest, k.sig, bind[:], k.bank, values)
	if err != nil {
		return fmt.Errorf("TPM made another key: %w", err)
	}
	k.Point = certified.Point
	if k.public, err = ecdh.P256().NewPublicKey(k.Point); err != nil {
		return err
	}
	area, err := gotpm.Unmarshal[gotpm.TPMTPublic](k.rawArea)
	if err != nil {
		return err
	}
	k.area = *area
	return nil
}

// template is the one kind of key that tpm2.CheckCertified accepts.
func template(policy [32]byte) gotpm.TPMTPublic {
	return gotpm.TPMTPublic{
		Type: gotpm.TPMAlgECC, NameAlg: gotpm.TPMAlgSHA256,
		ObjectAttributes: gotpm.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, NoDA: true, Decrypt: true},
		AuthPolicy:       gotpm.TPM2BDigest{Buffer: policy[:]},
		Parameters:       gotpm.NewTPMUPublicParms(gotpm.TPMAlgECC, &gotpm.TPMSECCParms{CurveID: gotpm.TPMECCNistP256}),
	}
}

// Certified is what shows that the key is of this TPM, in this state: TPMT_PUBLIC,
// TPMS_ATTEST and TPMT_SIGNATURE, the parts of channel.Certified.
func (k *Key) Certified() (public, certify, signature []byte) { return k.rawArea, k.attest, k.sig }

// PublicKey is Point.
func (k *Key) PublicKey() *ecdh.PublicKey { return k.public }

// Curve is P-256.
func (k *Key) Curve() ecdh.Curve { return ecdh.P256() }

// ECDH agrees on a secret with other, inside the TPM. Errors wrap ErrState,
// ErrGone or tpm2.ErrUnstable, or are of the TPM.
func (k *Key) ECDH(other *ecdh.PublicKey) ([]byte, error) {
	if other.Curve() != ecdh.P256() {
		return nil, fmt.Errorf("job key is on P-256, the other on %v", other.Curve())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l, err := gotpm.ContextLoad{Context: k.saved}.Execute(k.tpm)
	if gone(err) {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return nil, fmt.Errorf("load job key: %w", err)
	}
	z, err := k.agree(l.LoadedHandle, other.Bytes())
	if err := errors.Join(err, flush(k.tpm, l.LoadedHandle)); err != nil {
		return nil, err
	}
	return z, nil
}

// agree is TPM2_ECDH_ZGen. The session is salted with the key itself and
// encrypts the answer, so the secret does not cross the bus to the chip in clear.
func (k *Key) agree(handle gotpm.TPMHandle, point []byte) ([]byte, error) {
	var err error
	for range tries {
		var r *gotpm.ECDHZGenResponse
		r, err = gotpm.ECDHZGen{
			KeyHandle: gotpm.AuthHandle{Handle: handle, Name: k.name, Auth: gotpm.Policy(gotpm.TPMAlgSHA256, 16,
				gotpm.PolicyCallback(k.assert), gotpm.Salted(handle, k.area), gotpm.AESEncryption(128, gotpm.EncryptOut))},
			InPoint: gotpm.New2B(gotpm.TPMSECCPoint{
				X: gotpm.TPM2BECCParameter{Buffer: point[1:33]}, Y: gotpm.TPM2BECCParameter{Buffer: point[33:]},
			}),
		}.Execute(k.tpm)
		if err == nil {
			return coordinate(r)
		}
		if !errors.Is(err, gotpm.TPMRCPCRChanged) {
			break
		}
	}
	switch {
	case errors.Is(err, gotpm.TPMRCPolicyFail):
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	case errors.Is(err, gotpm.TPMRCPCRChanged):
		return nil, fmt.Errorf("use job key: %w", tpm2.ErrUnstable)
	}
	return nil, fmt.Errorf("use job key: %w", err)
}

func (k *Key) assert(tpm transport.TPM, session gotpm.TPMISHPolicy, _ gotpm.TPM2BNonce) error {
	bits := tpm2.Select(k.pcrs)
	_, err := gotpm.PolicyPCR{PolicySession: session, Pcrs: gotpm.TPMLPCRSelection{PCRSelections: []gotpm.TPMSPCRSelection{{
		Hash: gotpm.TPMAlgID(k.bank), PCRSelect: bits[:],
	}}}}.Execute(tpm)
	return err
}

// coordinate is the x coordinate of the shared point in its full length; some
// TPMs trim.
func coordinate(r *gotpm.ECDHZGenResponse) ([]byte, error) {
	p, err := r.OutPoint.Contents()
	if err != nil {
		return nil, fmt.Errorf("use job key: %w", err)
	}
	const size = 32
	x := p.X.Buffer
	if len(x) == 0 || len(x) > size {
		return nil, fmt.Errorf("use job key: TPM gave a coordinate of %d bytes, want %d", len(x), size)
	}
	return append(make([]byte, size-len(x), size), x...), nil
}

// gone reports whether a saved key cannot be loaded because it is of another
// start of the TPM: not when the TPM is only busy or full.
func gone(err error) bool {
	var fault gotpm.TPMFmt1Error
	return errors.As(err, &fault)
}

func flush(tpm transport.TPM, h gotpm.TPMHandle) error {
	_, err := gotpm.FlushContext{FlushHandle: h}.Execute(tpm)
	return err
}

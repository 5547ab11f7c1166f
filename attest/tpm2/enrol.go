package tpm2

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest/wire"
)

// SecretSize is the length of the secret that a credential carries, in bytes.
const SecretSize = 32

// maxCredential bounds either part of a credential, in bytes.
const maxCredential = 1 << 10

// Credential is a secret that one TPM alone can read, and only while it holds
// the AK that was named (Part 1, section 24).
type Credential struct {
	_      struct{} `cbor:",toarray"`
	Blob   []byte   // content of TPM2B_ID_OBJECT
	Secret []byte   // content of TPM2B_ENCRYPTED_SECRET
}

// MakeCredential locks secret up for the TPM that has the endorsement key ek
// (TPMT_PUBLIC) and an object named akName. Errors wrap those of ParseEK.
func MakeCredential(rand io.Reader, ek, akName, secret []byte) (Credential, error) {
	if _, err := ParseEK(ek); err != nil {
		return Credential{}, err
	}
	pub, err := gotpm.Unmarshal[gotpm.TPMTPublic](ek)
	if err != nil {
		return Credential{}, fmt.Errorf("%w: EK: %w", ErrSyntax, err)
	}
	key, err := gotpm.ImportEncapsulationKey(pub)
	if err != nil {
		return Credential{}, fmt.Errorf("%w: EK: %w", ErrAlgorithm, err)
	}
	blob, enc, err := gotpm.CreateCredential(rand, key, akName, secret)
	if err != nil {
		return Credential{}, fmt.Errorf("make credential: %w", err)
	}
	return Credential{Blob: blob, Secret: enc}, nil
}

// Activate reads the secret of c with the TPM that holds ek and ak. A
// credential for another TPM or another AK fails inside the TPM.
func Activate(tpm transport.TPM, ek *EK, ak *AK, c Credential) ([]byte, error) {
	if len(c.Blob) > maxCredential || len(c.Secret) > maxCredential {
		return nil, fmt.Errorf("%w: credential of %d and %d bytes, limit %d", ErrSyntax, len(c.Blob), len(c.Secret), maxCredential)
	}
	r, err := gotpm.ActivateCredential{
		ActivateHandle: gotpm.AuthHandle{Handle: ak.Handle, Name: ak.Name, Auth: gotpm.PasswordAuth(nil)},
		KeyHandle:      gotpm.AuthHandle{Handle: ek.Handle, Name: ek.Name, Auth: ek.auth()},
		CredentialBlob: gotpm.TPM2BIDObject{Buffer: c.Blob},
		Secret:         gotpm.TPM2BEncryptedSecret{Buffer: c.Secret},
	}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("activate credential: %w", err)
	}
	return bytes.Clone(r.CertInfo.Buffer), nil
}

// Proof shows that secret was read, for one binding: HMAC-SHA-256(secret, bind).
func Proof(secret, bind []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write(bind)
	return m.Sum(nil)
}

// EK is a loaded endorsement key. Close it: a TPM has few slots.
type EK struct {
	Handle gotpm.TPMHandle
	Name   gotpm.TPM2BName
	Public []byte // TPMT_PUBLIC
	SPKI   []byte
	byUser bool
	tpm    transport.TPM
}

// NewEK makes the endorsement key of tpm whose certificate has the
// SubjectPublicKeyInfo spki, trying the standard templates in turn; with no
// spki it is the ECC one. Errors wrap ErrEK when none gives that key.
func NewEK(tpm transport.TPM, spki []byte) (*EK, error) {
	var last error
	for _, t := range ekTemplates() {
		ek, err := loadEK(tpm, t)
		if err != nil {
			last = err
			continue
		}
		if spki == nil || bytes.Equal(ek.SPKI, spki) {
			return ek, nil
		}
		_ = ek.Close()
	}
	if last != nil {
		return nil, fmt.Errorf("%w: no template gives the certified key: %w", ErrEK, last)
	}
	return nil, fmt.Errorf("%w: no template gives the certified key", ErrEK)
}

func loadEK(tpm transport.TPM, t gotpm.TPMTPublic) (*EK, error) {
	r, err := gotpm.CreatePrimary{
		PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHEndorsement, Auth: gotpm.PasswordAuth(nil)},
		InPublic:      gotpm.New2B(t),
	}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("create EK: %w", err)
	}
	ek := &EK{Handle: r.ObjectHandle, Name: r.Name, Public: bytes.Clone(r.OutPublic.Bytes()), tpm: tpm}
	parsed, err := ParseEK(ek.Public)
	if err != nil {
		_ = ek.Close()
		return nil, fmt.Errorf("create EK: TPM made another key: %w", err)
	}
	ek.SPKI, ek.byUser = parsed.SPKI, t.ObjectAttributes.UserWithAuth
	return ek, nil
}

// Close flushes the key from the TPM.
func (ek *EK) Close() error {
	_, err := gotpm.FlushContext{FlushHandle: ek.Handle}.Execute(ek.tpm)
	return err
}

// auth opens the EK: by its standard policy, TPM2_PolicySecret with the
// endorsement hierarchy (EK Credential Profile, B.3), in a session of the hash
// that it is named with. High-range keys are opened by their empty password too.
func (ek *EK) auth() gotpm.Session {
	if ek.byUser {
		return gotpm.PasswordAuth(nil)
	}
	alg := gotpm.TPMAlgSHA256
	if len(ek.Name.Buffer) > 1 && ek.Name.Buffer[1] == wire.AlgSHA384 {
		alg = gotpm.TPMAlgSHA384
	}
	return gotpm.Policy(alg, 16, gotpm.PolicyCallback(func(tpm transport.TPM, handle gotpm.TPMISHPolicy, nonce gotpm.TPM2BNonce) error {
		_, err := gotpm.PolicySecret{
			AuthHandle:    gotpm.AuthHandle{Handle: gotpm.TPMRHEndorsement, Auth: gotpm.PasswordAuth(nil)},
			PolicySession: handle,
			NonceTPM:      nonce,
		}.Execute(tpm)
		return err
	}))
}

// ekTemplates is the reference templates: L-2 (ECC P-256), L-1 (RSA 2048), H-3
// (ECC P-384), the ones that chips and swtpm have certificates for.
func ekTemplates() []gotpm.TPMTPublic {
	return []gotpm.TPMTPublic{gotpm.ECCEKTemplate, gotpm.RSAEKTemplate, eccHigh()}
}

// eccHigh is template H-3: P-384, named with SHA-384, AES-256, opened by its
// user or by PolicyA or PolicyC.
func eccHigh() gotpm.TPMTPublic {
	return gotpm.TPMTPublic{
		Type: gotpm.TPMAlgECC, NameAlg: gotpm.TPMAlgSHA384,
		ObjectAttributes: gotpm.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			AdminWithPolicy: true, Restricted: true, Decrypt: true,
		},
		AuthPolicy: gotpm.TPM2BDigest{Buffer: []byte{
			0xB2, 0x6E, 0x7D, 0x28, 0xD1, 0x1A, 0x50, 0xBC, 0x53, 0xD8, 0x82, 0xBC, 0xF5, 0xFD, 0x3A, 0x1A,
			0x07, 0x41, 0x48, 0xBB, 0x35, 0xD3, 0xB4, 0xE4, 0xCB, 0x1C, 0x0A, 0xD9, 0xBD, 0xE4, 0x19, 0xCA,
			0xCB, 0x47, 0xBA, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0F, 0x9F, 0xC0, 0x00, 0xF3, 0xF8, 0x0E, 0x12,
		}},
		Parameters: gotpm.NewTPMUPublicParms(gotpm.TPMAlgECC, &gotpm.TPMSECCParms{
			Symmetric: gotpm.TPMTSymDefObject{
				Algorithm: gotpm.TPMAlgAES,
				KeyBits:   gotpm.NewTPMUSymKeyBits(gotpm.TPMAlgAES, gotpm.TPMKeyBits(256)),
				Mode:      gotpm.NewTPMUSymMode(gotpm.TPMAlgAES, gotpm.TPMAlgCFB),
			},
			CurveID: gotpm.TPMECCNistP384,
		}),
		Unique: gotpm.NewTPMUPublicID(gotpm.TPMAlgECC, &gotpm.TPMSECCPoint{}),
	}
}

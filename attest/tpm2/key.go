package tpm2

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/wire"
)

// AttestationKey is a parsed TPMT_PUBLIC with exactly the attributes of an AK.
type AttestationKey struct {
	Key  crypto.PublicKey // *ecdsa.PublicKey on P-256 or P-384, or *rsa.PublicKey
	Hash crypto.Hash      // that it signs with: SHA-256 or SHA-384
	Name []byte           // recomputed, never taken from outside
}

// akAttributes is the one set of attributes accepted of an AK: made by the
// TPM, bound to it, and signing only what the TPM itself wrote.
const akAttributes = wire.AttrFixedTPM | wire.AttrFixedParent | wire.AttrSensitiveDataOrigin |
	wire.AttrUserWithAuth | wire.AttrNoDA | wire.AttrRestricted | wire.AttrSign

// ParseAK reads the TPMT_PUBLIC of an AK. Errors wrap ErrAK, ErrAlgorithm or
// ErrSyntax.
func ParseAK(b []byte) (AttestationKey, error) {
	p, err := parsePublic(b)
	if err != nil {
		return AttestationKey{}, fmt.Errorf("AK: %w", err)
	}
	ak := AttestationKey{Key: p.key, Name: p.name}
	if p.attrs != akAttributes || len(p.policy) != 0 {
		return ak, fmt.Errorf("%w: attributes %08x, want %08x and no policy", ErrAK, p.attrs, uint32(akAttributes))
	}
	want := uint16(wire.AlgECDSA)
	if _, ok := p.key.(*rsa.PublicKey); ok {
		want = wire.AlgRSASSA
	}
	if p.sym != wire.AlgNull || p.scheme != want {
		return ak, fmt.Errorf("%w: AK scheme %04x, want ECDSA or RSASSA and no cipher", ErrAlgorithm, p.scheme)
	}
	if ak.Hash = hashOf(p.hash); ak.Hash == 0 {
		return ak, fmt.Errorf("%w: AK signs with hash %04x, want SHA-256 or SHA-384", ErrAlgorithm, p.hash)
	}
	return ak, nil
}

// hashOf is the hash of a TPM algorithm; 0 for one that is not accepted.
func hashOf(alg uint16) crypto.Hash {
	switch alg {
	case wire.AlgSHA256:
		return crypto.SHA256
	case wire.AlgSHA384:
		return crypto.SHA384
	}
	return 0
}

// Verify reports whether s is the key's signature over msg.
func (k AttestationKey) Verify(msg []byte, s Signature) bool {
	if s.Hash != k.Hash {
		return false
	}
	var digest []byte
	if k.Hash == crypto.SHA384 {
		sum := sha512.Sum384(msg)
		digest = sum[:]
	} else {
		sum := sha256.Sum256(msg)
		digest = sum[:]
	}
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		return s.R != nil && s.fits(key.Curve.Params().BitSize/8) && ecdsa.Verify(key, digest, s.R, s.S)
	case *rsa.PublicKey:
		return s.RSA != nil && rsa.VerifyPKCS1v15(key, k.Hash, digest, s.RSA) == nil
	}
	return false
}

// EndorsementKey is a parsed TPMT_PUBLIC of an EK.
type EndorsementKey struct {
	Key  crypto.PublicKey
	SPKI []byte // SubjectPublicKeyInfo, as its certificate has it
	Name []byte
}

// ParseEK reads the TPMT_PUBLIC of an endorsement key as the standard templates
// make it (TCG EK Credential Profile 2.6, annex B): a storage key that was made
// in its TPM and cannot leave it, opened by the endorsement hierarchy. Errors
// wrap ErrEK, ErrAlgorithm or ErrSyntax.
func ParseEK(b []byte) (EndorsementKey, error) {
	p, err := parsePublic(b)
	if err != nil {
		return EndorsementKey{}, fmt.Errorf("EK: %w", err)
	}
	const low = wire.AttrFixedTPM | wire.AttrFixedParent | wire.AttrSensitiveDataOrigin | wire.AttrAdminWithPolicy | wire.AttrRestricted | wire.AttrDecrypt
	want := uint32(low)
	if hex.EncodeToString(p.policy) != policyA {
		want |= wire.AttrUserWithAuth // the high range
	}
	if p.attrs != want {
		return EndorsementKey{}, fmt.Errorf("%w: attributes %08x, want %08x", ErrEK, p.attrs, want)
	}
	if !standardPolicy(p.policy) {
		return EndorsementKey{}, fmt.Errorf("%w: its policy %s is none of the standard ones", ErrEK, attest.Short(p.policy))
	}
	if p.sym != wire.AlgAES || p.symBits != 128 && p.symBits != 256 || p.symMode != wire.AlgCFB || p.scheme != wire.AlgNull {
		return EndorsementKey{}, fmt.Errorf("%w: EK must protect with AES in CFB mode and have no scheme", ErrAlgorithm)
	}
	spki, err := x509.MarshalPKIXPublicKey(p.key)
	if err != nil {
		return EndorsementKey{}, fmt.Errorf("%w: EK: %w", ErrSyntax, err)
	}
	return EndorsementKey{Key: p.key, SPKI: spki, Name: p.name}, nil
}

// policyA is TPM2_PolicySecret with the endorsement hierarchy, in SHA-256.
const policyA = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"

// standardPolicy reports whether p is PolicyA (SHA-256), or PolicyB with SHA-256
// or SHA-384 (EK Credential Profile, B.6).
func standardPolicy(p []byte) bool {
	for _, want := range []string{
		policyA,
		"ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0",
		"b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12",
	} {
		if hex.EncodeToString(p) == want {
			return true
		}
	}
	return false
}

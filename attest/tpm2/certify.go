package tpm2

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/wire"
)

// A job key is a primary key of the null hierarchy: its seed is another one
// after every reset of the TPM, so a machine that was restarted cannot make the
// key again, whatever it boots into.

// jobAttributes is the one set of attributes accepted of a job key: made in
// its TPM, bound to it, for key agreement only, used under its policy only.
const jobAttributes = wire.AttrFixedTPM | wire.AttrFixedParent | wire.AttrSensitiveDataOrigin | wire.AttrNoDA | wire.AttrDecrypt

// JobKey is a key for sealed jobs that an AK certified.
type JobKey struct {
	Point []byte // uncompressed point on P-256, the HPKE public key
	Name  []byte
	Boot  attest.Boot // when it was certified; after another reset it is gone
}

// CheckCertified checks that the key pub (TPMT_PUBLIC) lives in the TPM of ak,
// usable only while pcrs of bank have these values, and gone with the next
// reset: certify (TPMS_ATTEST) is
// signed by ak over the key's name, its hierarchy and bind, and the key's policy
// is TPM2_PolicyPCR over the values. Errors wrap ErrJobKey, ErrSignature,
// ErrSyntax, ErrMagic, ErrKind or ErrAlgorithm.
func CheckCertified(ak AttestationKey, pub, certify, sig, bind []byte, bank attest.Bank, pcrs []attest.PCRValue) (JobKey, error) {
	p, err := parsePublic(pub)
	if err != nil {
		return JobKey{}, fmt.Errorf("job key: %w", err)
	}
	key, ok := p.key.(*ecdsa.PublicKey)
	if !ok || key.Curve.Params().BitSize != 256 || p.scheme != wire.AlgNull || p.sym != wire.AlgNull {
		return JobKey{}, fmt.Errorf("%w: job key must be for ECDH on P-256", ErrAlgorithm)
	}
	if p.attrs != jobAttributes {
		return JobKey{}, fmt.Errorf("%w: attributes %08x, want %08x", ErrJobKey, p.attrs, uint32(jobAttributes))
	}
	if want := PolicyPCR(bank, pcrs); subtle.ConstantTimeCompare(p.policy, want[:]) != 1 {
		return JobKey{}, fmt.Errorf("%w: its policy %s is for another state, want %s", ErrJobKey, attest.Short(p.policy), attest.Short(want[:]))
	}
	boot, err := checkCertify(ak, p.name, certify, sig, bind)
	if err != nil {
		return JobKey{}, err
	}
	point, err := key.Bytes()
	if err != nil {
		return JobKey{}, fmt.Errorf("%w: job key: %w", ErrSyntax, err)
	}
	return JobKey{Point: point, Name: p.name, Boot: boot}, nil
}

func checkCertify(ak AttestationKey, name, certify, sig, bind []byte) (attest.Boot, error) {
	r := wire.NewReader(certify)
	head, err := parseHead(r, wire.TagCertify)
	if err != nil {
		return attest.Boot{}, fmt.Errorf("job key: %w", err)
	}
	certified := r.Sized(maxName)
	qualified := r.Sized(maxName)
	if err := r.End(); err != nil {
		return attest.Boot{}, fmt.Errorf("%w: certify: %w", ErrSyntax, err)
	}
	s, err := ParseSignature(sig)
	switch {
	case err != nil:
		return attest.Boot{}, fmt.Errorf("job key: %w", err)
	case subtle.ConstantTimeCompare(certified, name) != 1:
		return attest.Boot{}, fmt.Errorf("%w: certified is %s, the key is %s", ErrJobKey, attest.Short(certified), attest.Short(name))
	case subtle.ConstantTimeCompare(qualified, qualifiedName(wire.HandleNull, name)) != 1:
		return attest.Boot{}, fmt.Errorf("%w: its qualified name %s is not of the null hierarchy, so it may outlive a restart", ErrJobKey, attest.Short(qualified))
	case subtle.ConstantTimeCompare(head.Bind, bind) != 1:
		return attest.Boot{}, fmt.Errorf("%w: certified for %s, want %s", ErrJobKey, attest.Short(head.Bind), attest.Short(bind))
	case subtle.ConstantTimeCompare(head.QualifiedSigner, qualifiedName(wire.HandleEndorsement, ak.Name)) != 1:
		return attest.Boot{}, fmt.Errorf("%w: job key: signer %s", ErrSignature, attest.Short(head.QualifiedSigner))
	case !ak.Verify(certify, s):
		return attest.Boot{}, fmt.Errorf("%w: job key", ErrSignature)
	}
	return head.Boot, nil
}

// CertifyBind is the qualifying data of a job key's certification. It is not
// the binding of a quote: a key is certified once, when it is made.
func CertifyBind() [32]byte { return sha256.Sum256([]byte("cipherdeck/attest/job-key/v1")) }

// PolicyPCR is the digest of a policy session after one TPM2_PolicyPCR over
// values, ascending (Part 3, 23.7), with SHA-256:
//
//	SHA256( 0… ‖ TPM_CC_PolicyPCR ‖ selection ‖ SHA256(values) )
func PolicyPCR(bank attest.Bank, values []attest.PCRValue) [32]byte {
	const ccPolicyPCR = 0x17F
	var pcrs []uint8
	h := sha256.New()
	for _, v := range values {
		pcrs = append(pcrs, v.Index)
		h.Write(v.Value)
	}
	bits := Select(pcrs)
	in := make([]byte, sha256.Size, 128)
	in = wire.U32s(in, ccPolicyPCR, 1)
	in = append(binary.BigEndian.AppendUint16(in, uint16(bank)), 3)
	in = append(in, bits[:]...)
	return sha256.Sum256(h.Sum(in))
}

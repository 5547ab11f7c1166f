package job

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"cipherdeck/attest/grant"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
)

// A node's signing key is a file: who copied it signs results anywhere. Where a
// grant names a key in the TPM of a machine, whoever asks draws a fresh key for
// each job and seals it to that one. Only the machine that was granted, in the
// state that it was granted in, opens it; its result shows that it did.

const proofDomain = "cipherdeck/job/proof/v1"

// ErrProof is wrapped when a result does not show that.
var ErrProof = errors.New("result is not proven by the key of the machine that was granted")

// Terms is what the key of job j is released for.
func (j JobDoc) Terms() grant.Terms {
	return grant.Terms{V: 1, Project: j.Project, Grant: j.Grant, Job: j.Nonce, Model: j.Model, Plan: j.Plan, Inputs: j.Inputs,
		Op: chain.GrantBlind, NotAfter: j.NotAfter}
}

// Prove is the proof of r by the key of its job:
//
//	HMAC-SHA-256(key, LP(domain) ‖ CBOR(r without proof))
func (r Result) Prove(key [grant.KeySize]byte) ([]byte, error) {
	r.Proof = nil
	raw, err := doc.Encode(r)
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, key[:])
	m.Write(doc.LP([]byte(proofDomain)))
	m.Write(raw)
	return m.Sum(nil), nil
}

// CheckProof reports whether whoever made r had the key of its job. Errors wrap
// ErrProof.
func CheckProof(r Result, key [grant.KeySize]byte) error {
	want, err := r.Prove(key)
	switch {
	case err != nil:
		return err
	case len(r.Proof) == 0:
		return fmt.Errorf("%w: field proof is missing", ErrProof)
	case !hmac.Equal(r.Proof, want):
		return fmt.Errorf("%w: field proof was made with another key, or for another result", ErrProof)
	}
	return nil
}

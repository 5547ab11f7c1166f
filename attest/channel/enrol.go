package channel

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Enrolling is a credential for the machine that answered Challenge on this
// connection.
type Enrolling struct {
	_          struct{} `cbor:",toarray"`
	Challenge  []byte
	Credential tpm2.Credential
}

// stranger reports whether e shows an endorsement key that was never seen, or
// not lately, in one TPM with its attestation key.
func stranger(e attest.Evidence, known *attest.Enrolment, now time.Time) bool {
	if len(e.EK) == 0 {
		return false
	}
	if _, err := tpm2.ParseEK(e.EK); err != nil {
		return false // the verdict will say so
	}
	ak, err := tpm2.ParseAK(e.AK)
	if err != nil {
		return false
	}
	return known == nil || known.EK != id.Of(e.EK) || !bytes.Equal(known.AKName, ak.Name) ||
		now.Sub(time.Unix(known.At, 0)) > attest.EnrolmentLife
}

// conclude judges t. A machine that is good but for never having been enrolled
// is sent a credential first; post carries it, and brings the proof.
func (t *Transcript) conclude(ctx context.Context, policy attest.Policy, now time.Time, post func([]byte) ([]byte, error)) (*attest.Verdict, error) {
	ch, e, err := t.Parts()
	if err != nil {
		return nil, err
	}
	if !stranger(e, policy.Enrolled, now) {
		t.Enrolled = policy.Enrolled
		return t.Judge(ctx, policy, now)
	}
	before := policy
	before.Enrol, before.Enrolled = false, nil
	if v, err := t.Judge(ctx, before, now); err != nil {
		return v, err
	}
	if err := t.enrol(e, ch, now, post); err != nil {
		return nil, err
	}
	policy.Enrolled = nil // it was of another key, or too old
	return t.Judge(ctx, policy, now)
}

// enrol asks the machine to read a secret that only the TPM with this
// endorsement key can read, and only while it holds this attestation key. What
// is sent is a random secret under the TPM's own key, and no payload. A wrong
// answer gives no enrolment, and the verdict says so.
func (t *Transcript) enrol(e attest.Evidence, ch attest.Challenge, now time.Time, post func([]byte) ([]byte, error)) error {
	ak, err := tpm2.ParseAK(e.AK)
	if err != nil {
		return err
	}
	secret := make([]byte, tpm2.SecretSize)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	cred, err := tpm2.MakeCredential(rand.Reader, e.EK, ak.Name, secret)
	if err != nil {
		return err
	}
	body, err := doc.Encode(Enrolling{Challenge: t.Challenge, Credential: cred})
	if err != nil {
		return err
	}
	proof, err := post(body)
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	bind := t.bind(ch, e)
	if subtle.ConstantTimeCompare(proof, tpm2.Proof(secret, bind[:])) == 1 {
		t.Enrolled = &attest.Enrolment{EK: id.Of(e.EK), AKName: ak.Name, At: now.Unix()}
	}
	return nil
}

// Activate answers an Enrolling on the connection cs: 32 bytes that show that
// the secret was read. Errors wrap ErrChallenge when the client is at fault,
// ErrTLS when the connection is.
func (r *Responder) Activate(cs *tls.ConnectionState, raw []byte) ([]byte, error) {
	if cs == nil {
		return nil, fmt.Errorf("%w: not TLS", ErrTLS)
	}
	return r.activate(raw, func(challenge []byte) ([32]byte, error) {
		bind, _, err := r.bind(cs, challenge)
		return bind, err
	})
}

func (r *Responder) activate(raw []byte, bindOf func(challenge []byte) ([32]byte, error)) ([]byte, error) {
	var q Enrolling
	if len(raw) > MaxEnrolling {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrChallenge, len(raw), MaxEnrolling)
	}
	if err := doc.Decode(raw, &q); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	bind, err := bindOf(q.Challenge)
	if err != nil {
		return nil, err
	}
	if r.m.EK == nil {
		return nil, fmt.Errorf("%w: this machine shows no endorsement key", ErrChallenge)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	secret, err := tpm2.Activate(r.m.TPM, r.m.EK, r.m.AK, q.Credential)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err) // made for another TPM or another AK
	}
	return tpm2.Proof(secret, bind[:]), nil
}

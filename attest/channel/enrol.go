package channel

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
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

// enrol asks the machine to read a secret that only the TPM with this
// endorsement key can read, and only while it holds this attestation key. What
// is sent is a random secret under the TPM's own key, and no payload. A wrong
// answer gives no enrolment, and the verdict says so.
func (c *Conn) enrol(t *Transcript, e attest.Evidence, ch attest.Challenge, now time.Time) error {
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
	proof, err := c.post(EnrolPath, body, sha256.Size)
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
	var q Enrolling
	if len(raw) > MaxEnrolling {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrChallenge, len(raw), MaxEnrolling)
	}
	if err := doc.Decode(raw, &q); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	bind, _, err := r.bind(cs, q.Challenge)
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

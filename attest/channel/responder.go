package channel

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/doc"
)

// Machine is what a server attests with. Log, Manifest and JobKey must not
// change after NewResponder.
type Machine struct {
	TPM      transport.TPM
	AK       *tpm2.AK
	SPKI     [32]byte // of the server's own TLS key
	Log      []byte   // closed event log
	Manifest []byte   // signed manifest
	JobKey   []byte   // HPKE public key for sealed jobs; may be empty
}

// Responder answers challenges. It is safe for concurrent use: a TPM runs one
// command at a time, so answers queue.
type Responder struct {
	mu sync.Mutex
	m  Machine
}

// NewResponder answers for m.
func NewResponder(m Machine) *Responder { return &Responder{m: m} }

// Answer makes the evidence for challenge on the connection cs. Errors wrap
// ErrChallenge when the client is at fault, ErrTLS when the connection is.
func (r *Responder) Answer(cs *tls.ConnectionState, challenge []byte) ([]byte, error) {
	if cs == nil {
		return nil, fmt.Errorf("%w: not TLS", ErrTLS)
	}
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, err
	}
	ekm, err := exporter(cs, c.Nonce)
	if err != nil {
		return nil, err
	}
	bind := Bind(Parts{
		Nonce: c.Nonce, SPKI: r.m.SPKI, EKM: ekm, JobKey: r.m.JobKey,
		Manifest: r.m.Manifest, Challenge: challenge, Log: r.m.Log,
	})
	a, err := r.quote(bind[:], c.Bank, c.PCRs)
	if err != nil {
		return nil, err
	}
	out, err := doc.Encode(attest.Evidence{
		V: tpm2.Version, Type: tpm2.Type,
		AK: r.m.AK.Public, Quote: a.Quote, Signature: a.Signature, PCRs: a.PCRs,
		AppLog: r.m.Log, Manifest: r.m.Manifest, JobKey: r.m.JobKey,
	})
	if err == nil && len(out) > MaxEvidence {
		err = fmt.Errorf("evidence has %d bytes, limit %d", len(out), MaxEvidence)
	}
	return out, err
}

func (r *Responder) quote(bind []byte, bank attest.Bank, pcrs []uint8) (tpm2.Attestation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return tpm2.Quote(r.m.TPM, r.m.AK, bind, bank, pcrs)
}

// ServeHTTP is the handler for Path.
func (r *Responder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	}
	challenge, err := io.ReadAll(http.MaxBytesReader(w, q.Body, MaxChallenge))
	if err != nil {
		http.Error(w, ErrChallenge.Error(), http.StatusBadRequest)
		return
	}
	evidence, err := r.Answer(q.TLS, challenge)
	switch {
	case errors.Is(err, ErrChallenge), errors.Is(err, ErrTLS):
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case err != nil:
		http.Error(w, "cannot attest", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", MediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(evidence)))
	_, _ = io.Copy(w, bytes.NewReader(evidence))
}

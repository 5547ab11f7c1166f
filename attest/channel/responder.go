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

// Machine is what a server attests with. Its fields must not change after
// NewResponder, but for the manifest's proof: see SetProof.
type Machine struct {
	TPM      transport.TPM
	AK       *tpm2.AK
	EK       *tpm2.EK // nil: no endorsement key is shown, and nobody can enrol
	EKChain  [][]byte // its certificates
	SPKI     [32]byte // of the server's own TLS key
	Log      []byte   // closed event log
	Firmware []byte   // event log of the firmware; may be empty
	IMA      []byte   // the kernel's list; may be empty
	Manifest []byte   // signed manifest
	Proof    []byte   // that it is in the journal; may be empty
	JobKey   []byte   // HPKE public key for sealed jobs; may be empty

	// Key shows that JobKey is of the TPM; nil when it is not.
	Key *Certified
}

// Certified is a job key in a TPM and its certification by the AK.
type Certified struct{ Public, Attest, Signature []byte }

// Responder answers challenges. It is safe for concurrent use: a TPM runs one
// command at a time, so answers queue.
type Responder struct {
	mu sync.Mutex
	m  Machine
}

// NewResponder answers for m.
func NewResponder(m Machine) *Responder { return &Responder{m: m} }

// SetProof gives the proof that the manifest is in the journal, which comes
// after the server is up.
func (r *Responder) SetProof(proof []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m.Proof = proof
}

func (r *Responder) bind(cs *tls.ConnectionState, challenge []byte) ([32]byte, attest.Challenge, error) {
	c, err := parseChallenge(challenge)
	if err != nil {
		return [32]byte{}, c, err
	}
	ekm, err := exporter(cs, c.Nonce)
	if err != nil {
		return [32]byte{}, c, err
	}
	return Bind(Parts{
		Nonce: c.Nonce, SPKI: r.m.SPKI, EKM: ekm, JobKey: r.m.JobKey,
		Manifest: r.m.Manifest, Challenge: challenge, Logs: AllLogs(r.m.Log, r.m.Firmware, r.m.IMA),
	}), c, nil
}

// Answer makes the evidence for challenge on the connection cs. Errors wrap
// ErrChallenge when the client is at fault, ErrTLS when the connection is.
func (r *Responder) Answer(cs *tls.ConnectionState, challenge []byte) ([]byte, error) {
	if cs == nil {
		return nil, fmt.Errorf("%w: not TLS", ErrTLS)
	}
	bind, c, err := r.bind(cs, challenge)
	if err != nil {
		return nil, err
	}
	return r.encoded(bind, c)
}

// encoded is evidence over bind, as it goes over the wire.
func (r *Responder) encoded(bind [32]byte, c attest.Challenge) ([]byte, error) {
	e, err := r.evidence(bind[:], c)
	if err != nil {
		return nil, err
	}
	out, err := doc.Encode(e)
	if err == nil && len(out) > MaxEvidence {
		err = fmt.Errorf("evidence has %d bytes, limit %d", len(out), MaxEvidence)
	}
	return out, err
}

func (r *Responder) evidence(bind []byte, c attest.Challenge) (attest.Evidence, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, err := tpm2.Quote(r.m.TPM, r.m.AK, bind, c.Bank, c.PCRs)
	if err != nil {
		return attest.Evidence{}, err
	}
	e := attest.Evidence{
		V: tpm2.Version, Type: tpm2.Type,
		AK: r.m.AK.Public, Quote: a.Quote, Signature: a.Signature, PCRs: a.PCRs,
		AppLog: r.m.Log, Firmware: r.m.Firmware, IMA: r.m.IMA,
		Manifest: r.m.Manifest, Proof: r.m.Proof, JobKey: r.m.JobKey,
	}
	if r.m.EK != nil {
		e.EK, e.EKChain = r.m.EK.Public, r.m.EKChain
	}
	if k := r.m.Key; k != nil {
		e.KeyPublic, e.KeyCertify, e.KeySig = k.Public, k.Attest, k.Signature
	}
	return e, nil
}

// ServeHTTP is the handler for Path and EnrolPath.
func (r *Responder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	answer, limit := r.Answer, int64(MaxChallenge)
	if q.URL.Path == EnrolPath {
		answer, limit = r.Activate, MaxEnrolling
	}
	if q.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, limit))
	if err != nil {
		http.Error(w, ErrChallenge.Error(), http.StatusBadRequest)
		return
	}
	out, err := answer(q.TLS, body)
	switch {
	case errors.Is(err, ErrChallenge), errors.Is(err, ErrTLS):
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case err != nil:
		http.Error(w, "cannot attest", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", MediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = io.Copy(w, bytes.NewReader(out))
}

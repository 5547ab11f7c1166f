// Package channel binds evidence to one TLS connection and holds the payload
// back until the verdict is in.
//
// The exchange comes after the handshake, as one HTTP/1.1 request on the same
// TLS 1.3 connection:
//
//	C → S   POST /v1/attest        Challenge{nonce, PCRs}
//	S → C   200                    Evidence{quote over Bind(…), PCRs, logs, manifest}
//
// and, when this client never saw attestation key and endorsement key in one
// TPM, or more than 30 days ago:
//
//	C → S   POST /v1/attest/enrol  Enrolling{challenge, credential}
//	S → C   200                    HMAC(secret of the credential, Bind(…))
//
// Both ends compute Bind from what they saw themselves: the nonce, the hash of
// the server's TLS key, a TLS exporter value of this connection (RFC 8446
// section 7.5), the job key, the manifest, the challenge and the log. A relay
// with its own key has another TLS key; a relay with the server's stolen key
// still has another exporter value. Evidence in a certificate would stop
// neither.
//
// What this cannot stop: root on a machine with a plain TPM can ask that TPM
// to quote any binding. A measured, locked image is the defence, and judging
// boot state is not built yet (see tpm2).
package channel

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/crypto/doc"
)

// Path is where a server answers challenges, with POST.
const Path = "/v1/attest"

// EnrolPath is where it activates credentials, with POST.
const EnrolPath = Path + "/enrol"

// MediaType is the content type of challenge and evidence.
const MediaType = "application/cbor"

// Bounds of the exchange. Log and manifest at their own limits fit.
const (
	MaxChallenge = 256
	MaxEvidence  = 2 << 20
	MaxEnrolling = 4 << 10
	Deadline     = 5 * time.Second
)

const (
	bindDomain    = "cipherdeck/attest/bind/v2"
	exporterLabel = "EXPORTER-cipherdeck-attest-v1"
	exporterSize  = 32
	version       = 2
)

// The errors of this package, besides those of package attest.
var (
	// ErrPin is wrapped by a *PinError: the server has another TLS key.
	ErrPin = errors.New("server key is not the pinned one")
	// ErrChallenge is wrapped for challenges that are not answered.
	ErrChallenge = errors.New("bad attestation challenge")
	// ErrTLS is wrapped when a connection is not TLS 1.3, resumed a session,
	// or shows no certificate.
	ErrTLS = errors.New("connection cannot be attested")
	// ErrResponse is wrapped when the answer is not the HTTP response wanted.
	ErrResponse = errors.New("bad attestation response")
)

// PCRs is what Ask asks for: firmware (0, 2), boot loader (4, 9), Secure Boot
// (7), systemd's unified image and system (11, 12, 13, 15), our own log (14).
func PCRs() []uint8 { return []uint8{0, 2, 4, 7, 9, 11, 12, 13, 14, 15} }

// Parts is what a binding covers. The byte slices are hashed whole.
type Parts struct {
	Nonce     [32]byte
	SPKI      [32]byte // SHA-256 of the server's SubjectPublicKeyInfo
	EKM       []byte   // TLS exporter value, 32 bytes
	JobKey    []byte
	Manifest  []byte
	Challenge []byte
	Logs      []byte // AllLogs
}

// AllLogs is every log of evidence, each behind its length.
func AllLogs(app, firmware, ima []byte) []byte { return doc.LP(app, firmware, ima) }

// Bind is the qualifying data of the quote:
//
//	SHA256(LP(domain) ‖ LP(nonce) ‖ LP(SPKI) ‖ LP(ekm) ‖ LP(SHA256(job key)) ‖
//	       LP(SHA256(manifest)) ‖ LP(SHA256(challenge)) ‖ LP(SHA256(logs)))
func Bind(p Parts) [32]byte {
	return p.bind(bindDomain, p.SPKI[:], p.EKM)
}

// bind hashes domain, nonce, the two values that say who answers, and then what
// every binding covers.
func (p Parts) bind(domain string, who, where []byte) [32]byte {
	job, man := sha256.Sum256(p.JobKey), sha256.Sum256(p.Manifest)
	cha, log := sha256.Sum256(p.Challenge), sha256.Sum256(p.Logs)
	return sha256.Sum256(doc.LP([]byte(domain), p.Nonce[:], who, where, job[:], man[:], cha[:], log[:]))
}

// Ask makes a challenge with a nonce from rand. raw is what to send.
func Ask(rand io.Reader) (c attest.Challenge, raw []byte, err error) {
	c = attest.Challenge{V: version, PCRs: PCRs(), Bank: attest.SHA256}
	if _, err := io.ReadFull(rand, c.Nonce[:]); err != nil {
		return c, nil, fmt.Errorf("attestation nonce: %w", err)
	}
	raw, err = doc.Encode(c)
	return c, raw, err
}

// parseChallenge refuses what no honest client asks.
func parseChallenge(raw []byte) (attest.Challenge, error) {
	var c attest.Challenge
	if len(raw) > MaxChallenge {
		return c, fmt.Errorf("%w: %d bytes, limit %d", ErrChallenge, len(raw), MaxChallenge)
	}
	if err := doc.Decode(raw, &c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	switch {
	case c.V != version:
		return c, fmt.Errorf("%w: version %d, want %d", ErrChallenge, c.V, version)
	case c.Bank.Size() == 0:
		return c, fmt.Errorf("%w: bank %04x, want SHA-256 or SHA-384", ErrChallenge, uint16(c.Bank))
	case c.Nonce == [32]byte{}:
		return c, fmt.Errorf("%w: empty nonce", ErrChallenge)
	}
	log := false
	for i, p := range c.PCRs {
		if p >= 24 || (i > 0 && p <= c.PCRs[i-1]) {
			return c, fmt.Errorf("%w: PCR list %v must ascend and stay below 24", ErrChallenge, c.PCRs)
		}
		log = log || p == eventlog.PCR
	}
	if !log {
		return c, fmt.Errorf("%w: PCR %d is not asked for", ErrChallenge, eventlog.PCR)
	}
	return c, nil
}

// exporter is the secret that only the two ends of this connection can
// compute. Resumed sessions are refused: their handshake was another one.
func exporter(cs *tls.ConnectionState, nonce [32]byte) ([]byte, error) {
	if cs.Version != tls.VersionTLS13 || !cs.HandshakeComplete || cs.DidResume {
		return nil, fmt.Errorf("%w: want a full TLS 1.3 handshake", ErrTLS)
	}
	ekm, err := cs.ExportKeyingMaterial(exporterLabel, nonce[:], exporterSize)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTLS, err)
	}
	return ekm, nil
}

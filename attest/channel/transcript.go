package channel

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/kinds"
	"cipherdeck/crypto/doc"
)

// Transcript is one exchange, as the client saw it: all that a verdict depends
// on besides the policy and the time. It can be saved and judged again, by
// anybody, without the machine.
//
// To somebody else it is the client's word that Challenge was fresh and that
// SPKI and EKM are of a connection of his own.
type Transcript struct {
	V         uint8             `cbor:"1,keyasint"`
	Subject   string            `cbor:"2,keyasint"`
	At        int64             `cbor:"3,keyasint"` // Unix seconds
	SPKI      [32]byte          `cbor:"4,keyasint"`
	EKM       []byte            `cbor:"5,keyasint"` // exporter value of this use alone: it opens nothing
	Challenge []byte            `cbor:"6,keyasint"`
	Evidence  []byte            `cbor:"7,keyasint"`
	Enrolled  *attest.Enrolment `cbor:"8,keyasint,omitempty"` // as it was known or made then
	Node      *NodeAnswer       `cbor:"9,keyasint,omitempty"` // of a node, which was asked through its server: SPKI and EKM are empty then
}

const transcriptVersion = 1

// MaxTranscript bounds a saved transcript, in bytes.
const MaxTranscript = MaxEvidence + 16<<10

// ErrTranscript is wrapped when a file is not a transcript.
var ErrTranscript = errors.New("not a transcript of an attestation")

// transcribe makes the transcript of an exchange on the connection cs.
func transcribe(cs tls.ConnectionState, challenge, evidence []byte, subject string, now time.Time) (*Transcript, error) {
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, err
	}
	if len(cs.PeerCertificates) == 0 {
		return nil, fmt.Errorf("%w: no server certificate", ErrTLS)
	}
	ekm, err := exporter(&cs, c.Nonce)
	if err != nil {
		return nil, err
	}
	return &Transcript{
		V: transcriptVersion, Subject: subject, At: now.Unix(), SPKI: SPKI(cs.PeerCertificates[0]), EKM: ekm,
		Challenge: challenge, Evidence: evidence,
	}, nil
}

// Judge holds the transcript against a policy at the time now. The error is
// nil only for a verdict that is OK. It wraps attest.ErrRefused when the
// evidence is not good enough; the verdict then says which link broke, and is
// nil when the bytes could not even be read. Other errors mean that no question
// could be asked: ErrChallenge, tpm2.ErrAsk, report.ErrAsk.
func (t *Transcript) Judge(ctx context.Context, policy attest.Policy, now time.Time) (*attest.Verdict, error) {
	c, err := parseChallenge(t.Challenge)
	if err != nil {
		return nil, err
	}
	e, err := parseEvidence(t.Evidence)
	if err != nil {
		return nil, err
	}
	answer := t.Node.check(t.Challenge, t.Evidence)
	bind := t.bind(c, e)
	enrolled := t.Enrolled
	if enrolled == nil {
		enrolled = policy.Enrolled
	}
	v, err := kinds.Verify(ctx, c, e, attest.Expect{
		Bind: bind[:], Subject: t.Subject, SPKI: t.key(), Policy: policy, Now: now, Enrolled: enrolled,
	})
	if err != nil {
		return nil, err
	}
	if t.Node != nil {
		answeredBy(v, *t.Node, answer)
	}
	return v, refusal(v)
}

// key is the hash of the key that the machine must have measured.
func (t *Transcript) key() [32]byte {
	if t.Node != nil {
		return sha256.Sum256(t.Node.Key)
	}
	return t.SPKI
}

func (t *Transcript) bind(c attest.Challenge, e attest.Evidence) [32]byte {
	if t.Node != nil {
		return BindNode(t.Node.UID, t.key(), Parts{
			Nonce: c.Nonce, JobKey: e.JobKey, Manifest: e.Manifest, Challenge: t.Challenge, Logs: AllLogs(e.AppLog, e.Firmware, e.IMA),
		})
	}
	return Bind(Parts{
		Nonce: c.Nonce, SPKI: t.SPKI, EKM: t.EKM, JobKey: e.JobKey,
		Manifest: e.Manifest, Challenge: t.Challenge, Logs: AllLogs(e.AppLog, e.Firmware, e.IMA),
	})
}

// Parts reads what was asked and what was answered.
func (t *Transcript) Parts() (attest.Challenge, attest.Evidence, error) {
	c, err := parseChallenge(t.Challenge)
	if err != nil {
		return c, attest.Evidence{}, err
	}
	e, err := parseEvidence(t.Evidence)
	return c, e, err
}

// Save is the transcript's bytes, deterministic CBOR.
func (t *Transcript) Save() ([]byte, error) { return doc.Encode(t) }

// Load reads what Save wrote. Nothing is judged. Errors wrap ErrTranscript.
func Load(raw []byte) (*Transcript, error) {
	if len(raw) > MaxTranscript {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTranscript, len(raw), MaxTranscript)
	}
	var t Transcript
	if err := doc.Decode(raw, &t); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrTranscript, err)
	}
	want := exporterSize
	if t.Node != nil {
		want = 0
	}
	if t.V != transcriptVersion || len(t.EKM) != want || (t.Node != nil && t.SPKI != [32]byte{}) {
		return nil, fmt.Errorf("%w: version %d with %d bytes of exporter, want %d with %d", ErrTranscript, t.V, len(t.EKM), transcriptVersion, want)
	}
	return &t, nil
}

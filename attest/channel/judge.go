package channel

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/doc"
)

// Judge holds evidence, the answer to our own challenge on the connection cs,
// against policy. It is used for the first verdict on a connection and for
// every later one.
//
// The error is nil only for a verdict that is OK. It wraps attest.ErrRefused
// when the evidence is not good enough; the verdict then says which link
// broke, and is nil when the bytes could not even be read. Other errors mean
// that no question could be asked: ErrChallenge, ErrTLS, tpm2.ErrAsk.
func Judge(ctx context.Context, cs tls.ConnectionState, challenge, evidence []byte, policy attest.Policy, subject string, now time.Time) (*attest.Verdict, error) {
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
	e, err := parseEvidence(evidence)
	if err != nil {
		return nil, err
	}
	spki := SPKI(cs.PeerCertificates[0])
	bind := Bind(Parts{
		Nonce: c.Nonce, SPKI: spki, EKM: ekm, JobKey: e.JobKey,
		Manifest: e.Manifest, Challenge: challenge, Log: e.AppLog,
	})
	v, err := tpm2.Verifier{PCRs: c.PCRs, Bank: c.Bank}.Verify(ctx, e, attest.Expect{
		Bind: bind[:], Subject: subject, SPKI: spki, Policy: policy, Now: now,
	})
	if err != nil {
		return nil, err
	}
	return v, refusal(v)
}

func parseEvidence(raw []byte) (attest.Evidence, error) {
	var e attest.Evidence
	if len(raw) > MaxEvidence {
		return e, fmt.Errorf("%w: evidence has %d bytes, limit %d", attest.ErrRefused, len(raw), MaxEvidence)
	}
	if err := doc.Decode(raw, &e); err != nil {
		return e, fmt.Errorf("%w: evidence: %w", attest.ErrRefused, err)
	}
	if e.V != tpm2.Version || e.Type != tpm2.Type {
		return e, fmt.Errorf("%w: evidence is %q version %d, want %q version %d", attest.ErrRefused, e.Type, e.V, tpm2.Type, tpm2.Version)
	}
	return e, nil
}

// refusal names the broken link of a verdict that is not OK.
func refusal(v *attest.Verdict) error {
	if v.OK() {
		return nil
	}
	if l := v.Broken(); l != nil {
		return fmt.Errorf("%w: %s: %s", attest.ErrRefused, l.ID, l.Found)
	}
	return fmt.Errorf("%w: a link that must hold was not checked", attest.ErrRefused)
}

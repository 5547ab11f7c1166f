package channel

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/kinds"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/doc"
)

// Judge holds evidence, the answer to our own challenge on the connection cs,
// against policy: for a later challenge on a connection that has a verdict. The
// errors are those of Transcript.Judge, and ErrTLS.
func Judge(ctx context.Context, cs tls.ConnectionState, challenge, evidence []byte, policy attest.Policy, subject string, now time.Time) (*attest.Verdict, error) {
	t, err := transcribe(cs, challenge, evidence, subject, now)
	if err != nil {
		return nil, err
	}
	return t.Judge(ctx, policy, now)
}

func parseEvidence(raw []byte) (attest.Evidence, error) {
	var e attest.Evidence
	if len(raw) > MaxEvidence {
		return e, fmt.Errorf("%w: evidence has %d bytes, limit %d", attest.ErrRefused, len(raw), MaxEvidence)
	}
	if err := doc.Decode(raw, &e); err != nil {
		return e, fmt.Errorf("%w: evidence: %w", attest.ErrRefused, err)
	}
	if _, ok := kinds.Of(e.Type); !ok || e.V != tpm2.Version {
		return e, fmt.Errorf("%w: evidence is of type %.16q, version %d; want version %d of tpm2, snp, tdx or sgx", attest.ErrRefused, e.Type, e.V, tpm2.Version)
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

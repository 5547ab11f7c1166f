// Package kinds judges evidence of every kind by one call.
package kinds

import (
	"context"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/report"
	"cipherdeck/attest/sgx"
	"cipherdeck/attest/snp"
	"cipherdeck/attest/tdx"
	"cipherdeck/attest/tpm2"
)

// Of is the verifier for evidence of a type; false when there is none. The one of
// TPMs wants to know which registers were asked for: see Verify.
func Of(typ string) (attest.Verifier, bool) {
	for _, v := range []attest.Verifier{tpm2.Verifier{}, snp.Verifier{}, tdx.Verifier(), sgx.Verifier()} {
		if v.Type() == typ {
			return v, true
		}
	}
	return nil, false
}

// Verify judges e, the answer to c, by the verifier of its type. Errors wrap
// tpm2.ErrAsk or report.ErrAsk.
func Verify(ctx context.Context, c attest.Challenge, e attest.Evidence, x attest.Expect) (*attest.Verdict, error) {
	v, ok := Of(e.Type)
	if !ok {
		return nil, fmt.Errorf("%w: evidence of type %.16q", report.ErrAsk, e.Type)
	}
	if e.Type == tpm2.Type {
		v = tpm2.Verifier{PCRs: c.PCRs, Bank: c.Bank}
	}
	return v.Verify(ctx, e, x)
}

// Package snp verifies reports of AMD SEV-SNP (SEV Secure Nested Paging
// Firmware ABI, AMD document 56860, section 7.3).
//
// A guest asks the chip's secure processor for a report of 1184 bytes: its own
// launch measurement, policy, firmware versions and 64 bytes of free data,
// signed on P-384 by a key that belongs to this chip and these versions (VCEK).
// AMD certifies that key: ARK signs ASK signs VCEK (document 57230). ARK and ASK
// are pinned here for Milan, Genoa and Turin; the machine gives the VCEK's
// certificate and nothing else.
//
// Reading and signature are those of github.com/google/go-sev-guest with its
// downloads switched off. Tried with one real report of a Milan processor; Genoa
// and Turin were not tried. Not accepted: keys of a cloud (VLEK), masked chip
// numbers, reports from another privilege level than 0, which includes those
// that a host asks for. Revocation lists are not read: the one certificate that
// AMD would revoke, the ASK, is pinned and leaves with a release.
package snp

import (
	"context"

	"cipherdeck/attest"
	"cipherdeck/attest/report"
)

// Type is that of the evidence.
const Type = "snp"

// Verifier checks SEV-SNP evidence against AMD's roots.
type Verifier struct {
	roots func(line string) (*product, error) // nil: the pinned ones
}

var _ attest.Verifier = Verifier{}

// Type is "snp".
func (Verifier) Type() string { return Type }

// Verify judges e; errors wrap report.ErrAsk.
func (f Verifier) Verify(ctx context.Context, e attest.Evidence, x attest.Expect) (*attest.Verdict, error) {
	if f.roots == nil {
		f.roots = pinned
	}
	r := &reading{roots: f.roots}
	return report.Checks{Type: Type, Root: attest.RootSNP, Chain: r.chain, Report: r.signature, Debug: r.debug, TCB: r.tcb}.Verify(ctx, e, x)
}

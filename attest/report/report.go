// Package report judges what a trusted execution environment signed of itself:
// an SEV-SNP report, a TDX quote, an SGX quote.
//
// The three differ in their bytes and agree in their argument: a maker's root
// certifies a key of the chip, the key signs a report, the report carries our
// binding in its 64 bytes of free data and the measurement of what was loaded.
// A kind says how its bytes are read (Checks); the chain of links, its texts and
// everything about the manifest are here and the same for all.
//
// The floors of firmware versions stand in the manifest's deny list, so
// report.tcb is checked after the manifest is known to be signed.
//
// Nothing is fetched: a verdict depends on the evidence, on what is expected and
// on the time given.
package report

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/links"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// ErrAsk is wrapped when evidence cannot be judged at all: it is of another
// type, or the binding has another size.
var ErrAsk = errors.New("question about a report is wrong")

// AskAgain is how long a verdict counts at most.
const AskAgain = 10 * time.Minute

// Version is that of the evidence.
const Version = 2

// DataSize is how many bytes of free data a report carries: the binding, 32
// bytes, and zeros.
const DataSize = 64

// Checks is how one kind of report is read. Each function may use what the
// ones before it put into the trial.
type Checks struct {
	Type string
	Root attest.RootKind

	Collateral bool // it comes with what its maker says of firmware

	// Chain verifies the certificates up to the pinned root, and fills in
	// Maker, Serials, SPKI and Ends.
	Chain func(*Trial) error
	// Report verifies the signature, and fills in Data and Measurement.
	Report func(*Trial) error
	// Debug refuses an environment that is open to somebody else.
	Debug func(*Trial) (attest.State, string)
	// TCB holds firmware versions against the floors of this type.
	TCB func(*Trial, []attest.Floor) (attest.State, string)
}

// Trial is one run of the chain.
type Trial struct {
	links.Trial

	Maker   string    // of the pinned root, e.g. "AMD Milan"
	Serials []string  // of the certificates, in hex, the chip's first
	SPKI    []byte    // of the key that signs reports
	Ends    time.Time // when the first certificate of the chain ends

	Data        []byte // free data of the report, DataSize bytes
	Measurement []byte // of what was loaded

	kind Checks
}

// Verify runs the chain until its first broken link; links after that are
// NotChecked. Errors wrap ErrAsk, or are of the context.
func (c Checks) Verify(ctx context.Context, e attest.Evidence, x attest.Expect) (*attest.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.Type != c.Type || e.V != Version {
		return nil, fmt.Errorf("%w: evidence %q version %d, want %q version %d", ErrAsk, e.Type, e.V, c.Type, Version)
	}
	if len(x.Bind) != sha256.Size && !(x.Look && x.Bind == nil) {
		return nil, fmt.Errorf("%w: binding of %d bytes, want %d", ErrAsk, len(x.Bind), sha256.Size)
	}
	raw, err := doc.Encode(e)
	if err != nil {
		return nil, fmt.Errorf("%w: evidence: %v", ErrAsk, err)
	}
	t := &Trial{kind: c, Trial: links.Trial{E: e, X: x, V: &attest.Verdict{
		Type: c.Type, Subject: x.Subject, Digest: id.Of(raw), NotAfter: x.Now.Add(AskAgain), JobKey: e.JobKey,
	}}}
	links.Run(&t.Trial, t, t.steps())
	return t.V, nil
}

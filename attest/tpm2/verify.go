package tpm2

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/ek"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/links"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// AskAgain is how long a verdict counts at most.
const AskAgain = 10 * time.Minute

// Verifier checks TPM evidence against the registers that were asked for.
type Verifier struct {
	PCRs []uint8     // ascending, below 24, with 14 among them
	Bank attest.Bank // 0: SHA-256
}

var _ attest.Verifier = Verifier{}

// Type is "tpm2".
func (Verifier) Type() string { return Type }

// trial is one run of the chain. Later steps use what earlier ones proved.
type trial struct {
	links.Trial
	pcrSet []uint8
	bank   attest.Bank

	made   ek.Made
	ekKey  EndorsementKey
	ekErr  error // of its public area
	key    AttestationKey
	keyErr error
	quoted Quoted
	log    []eventlog.Event
	boot   *bootlog.Explained
	judged manifest.Judgement
}

// Verify runs the chain until its first broken link. Links after that are
// NotChecked. Errors wrap ErrAsk and mean that the question was wrong, never
// that the answer was.
func (f Verifier) Verify(ctx context.Context, e attest.Evidence, x attest.Expect) (*attest.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.Bank == 0 {
		f.Bank = attest.SHA256
	}
	if err := f.checkAsk(e, x); err != nil {
		return nil, err
	}
	raw, err := doc.Encode(e)
	if err != nil {
		return nil, fmt.Errorf("%w: evidence: %v", ErrAsk, err)
	}
	t := &trial{pcrSet: f.PCRs, bank: f.Bank, Trial: links.Trial{E: e, X: x, V: &attest.Verdict{
		Type: Type, Subject: x.Subject, Digest: id.Of(raw), NotAfter: x.Now.Add(AskAgain), JobKey: e.JobKey,
	}}}
	t.key, t.keyErr = ParseAK(e.AK)
	if len(e.EK) > 0 {
		t.ekKey, t.ekErr = ParseEK(e.EK)
	}
	links.Run(&t.Trial, t, steps())
	return t.V, nil
}

func (f Verifier) checkAsk(e attest.Evidence, x attest.Expect) error {
	if err := checkPCRs(f.PCRs); err != nil {
		return err
	}
	if f.Bank.Size() == 0 {
		return fmt.Errorf("%w: bank %04x", ErrAsk, uint16(f.Bank))
	}
	if Select(f.PCRs)[eventlog.PCR/8]&(1<<(eventlog.PCR%8)) == 0 {
		return fmt.Errorf("%w: PCR %d is not among %v", ErrAsk, eventlog.PCR, f.PCRs)
	}
	if e.Type != Type || e.V != Version {
		return fmt.Errorf("%w: evidence %q version %d, want %q version %d", ErrAsk, e.Type, e.V, Type, Version)
	}
	if len(x.Bind) != sha256.Size {
		return fmt.Errorf("%w: binding of %d bytes, want %d", ErrAsk, len(x.Bind), sha256.Size)
	}
	return nil
}

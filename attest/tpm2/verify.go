package tpm2

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
	"unicode/utf8"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/ek"
	"cipherdeck/attest/eventlog"
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
	e      attest.Evidence
	x      attest.Expect
	pcrSet []uint8
	bank   attest.Bank
	v      *attest.Verdict
	data   []attest.Datum // of the link under way

	made   ek.Made
	ekKey  EndorsementKey
	ekErr  error // of its public area
	key    AttestationKey
	keyErr error
	quoted Quoted
	log    []eventlog.Event
	boot   *bootlog.Explained
	golden manifest.Opened
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
	t := &trial{e: e, x: x, pcrSet: f.PCRs, bank: f.Bank, v: &attest.Verdict{
		Type: Type, Subject: x.Subject, Digest: id.Of(raw), NotAfter: x.Now.Add(AskAgain), JobKey: e.JobKey,
	}}
	t.key, t.keyErr = ParseAK(e.AK)
	if len(e.EK) > 0 {
		t.ekKey, t.ekErr = ParseEK(e.EK)
	}
	t.run()
	return t.v, nil
}

func (t *trial) run() {
	broken := false
	for _, s := range steps() {
		l := s.Link
		if broken {
			l.Found = "not checked: a link above is broken"
		} else {
			t.data = nil
			l.State, l.Found = s.run(t)
			l.Found, l.Data = clip(l.Found), t.data
			broken = l.State == attest.Fail
		}
		t.v.Links = append(t.v.Links, l)
	}
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

func pass(format string, a ...any) (attest.State, string) {
	return attest.Pass, fmt.Sprintf(format, a...)
}

func fail(format string, a ...any) (attest.State, string) {
	return attest.Fail, fmt.Sprintf(format, a...)
}

func unchecked(format string, a ...any) (attest.State, string) {
	return attest.NotChecked, fmt.Sprintf(format, a...)
}

func warn(format string, a ...any) (attest.State, string) {
	return attest.Warn, fmt.Sprintf(format, a...)
}

// show adds a value to the evidence of the link under way.
func (t *trial) show(name string, value []byte) {
	t.data = append(t.data, attest.Datum{Name: name, Value: value})
}

// until moves the end of the verdict forward.
func (t *trial) until(end time.Time) {
	if end.Before(t.v.NotAfter) {
		t.v.NotAfter = end
	}
}

// foundLimit bounds Link.Found, in characters.
const foundLimit = 160

func clip(s string) string {
	if utf8.RuneCountInString(s) <= foundLimit {
		return s
	}
	return string([]rune(s)[:foundLimit-1]) + "…"
}

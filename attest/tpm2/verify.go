package tpm2

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// AskAgain is how long a verdict counts at most.
const AskAgain = 10 * time.Minute

// Verifier checks TPM evidence against the PCRs that were asked for.
type Verifier struct {
	PCRs []uint8 // ascending, below 24, with 14 among them
}

var _ attest.Verifier = Verifier{}

// Type is "tpm2".
func (Verifier) Type() string { return Type }

// trial is one run of the chain. Later steps use what earlier ones proved.
type trial struct {
	e      attest.Evidence
	x      attest.Expect
	pcrSet []uint8
	v      *attest.Verdict

	key    AttestationKey
	quoted Quoted
	log    []eventlog.Event
	golden manifest.Opened
	opened error // of the manifest
	judged manifest.Judgement
}

// Verify runs the chain until its first broken link. Links after that, and
// links that are not built, are NotChecked. Errors wrap ErrAsk and mean that
// the question was wrong, never that the answer was.
func (f Verifier) Verify(ctx context.Context, e attest.Evidence, x attest.Expect) (*attest.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.checkAsk(e, x); err != nil {
		return nil, err
	}
	raw, err := doc.Encode(e)
	if err != nil {
		return nil, fmt.Errorf("%w: evidence: %v", ErrAsk, err)
	}
	t := &trial{e: e, x: x, pcrSet: f.PCRs, v: &attest.Verdict{
		Type:    Type,
		Subject: x.Subject, Digest: id.Of(raw), NotAfter: x.Now.Add(AskAgain),
	}}
	broken := false
	for _, s := range steps() {
		l := s.Link
		switch {
		case broken:
			l.Found = "not checked: a link above is broken"
		case s.run == nil:
			l.Found = "not built in this release"
		default:
			l.State, l.Found = s.run(t)
			l.Found = clip(l.Found)
			broken = l.State == attest.Fail
		}
		t.v.Links = append(t.v.Links, l)
	}
	return t.v, nil
}

func (f Verifier) checkAsk(e attest.Evidence, x attest.Expect) error {
	if err := checkPCRs(f.PCRs); err != nil {
		return err
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

// root is decided here and never by the machine: with no EK certificate there
// is nobody to vouch for more than software.
func (t *trial) root() (attest.State, string) {
	if t.x.Policy.MinRoot > attest.RootSoftware {
		return fail("policy demands %s, got at most %s", t.x.Policy.MinRoot, attest.RootSoftware)
	}
	return attest.Software, "no EK certificate: nothing vouches for the maker"
}

func (t *trial) ak() (attest.State, string) {
	key, err := ParseAK(t.e.AK)
	if err != nil {
		return fail("%v", err)
	}
	t.key = key
	return pass("AK name %s", short(key.Name))
}

func (t *trial) signature() (attest.State, string) {
	q, err := ParseQuote(t.e.Quote)
	if err != nil {
		return fail("%v", err)
	}
	sig, err := ParseSignature(t.e.Signature)
	if err != nil {
		return fail("%v", err)
	}
	if want := qualifiedName(t.key.Name); subtle.ConstantTimeCompare(q.QualifiedSigner, want) != 1 {
		return fail("%v: signer %s, want %s", ErrSignature, short(q.QualifiedSigner), short(want))
	}
	sum := sha256.Sum256(t.e.Quote)
	if !ecdsa.Verify(t.key.Key, sum[:], sig.R, sig.S) {
		return fail("%v", ErrSignature)
	}
	t.quoted = q
	t.v.Root = attest.RootSoftware
	return pass("signed by AK %s; reset count %d, restart count %d", short(t.key.Name), q.ResetCount, q.RestartCount)
}

func (t *trial) binding() (attest.State, string) {
	if subtle.ConstantTimeCompare(t.quoted.Bind, t.x.Bind) != 1 {
		return fail("binding mismatch: expected %s, got %s", short(t.x.Bind), short(t.quoted.Bind))
	}
	return pass("binding %s", short(t.x.Bind))
}

func (t *trial) pcrs() (attest.State, string) {
	if got, want := t.quoted.Select, Select(t.pcrSet); got != want {
		return fail("%v: expected selection %x, got %x", ErrSelection, want, got)
	}
	if len(t.e.PCRs) != len(t.pcrSet) {
		return fail("expected %d PCR values, got %d", len(t.pcrSet), len(t.e.PCRs))
	}
	for i, v := range t.e.PCRs {
		if v.Index != t.pcrSet[i] {
			return fail("value %d: expected PCR %d, got PCR %d", i, t.pcrSet[i], v.Index)
		}
	}
	if got := digestOf(t.e.PCRs); got != t.quoted.Digest {
		return fail("PCR digest: quoted %s, values give %s", short(t.quoted.Digest[:]), short(got[:]))
	}
	return pass("%d PCRs, digest %s", len(t.pcrSet), short(t.quoted.Digest[:]))
}

func (t *trial) replay() (attest.State, string) {
	log, err := eventlog.Parse(t.e.AppLog)
	if err != nil {
		return fail("%v", err)
	}
	got, err := eventlog.Replay(log)
	if err != nil {
		return fail("%v", err)
	}
	for _, v := range t.e.PCRs {
		if v.Index == eventlog.PCR && !bytes.Equal(v.Value, got[:]) {
			return fail("PCR %d: quoted %s, log replays to %s", eventlog.PCR, short(v.Value), short(got[:]))
		}
	}
	t.log = log
	t.v.Measured = make(map[string][]byte, len(log))
	for _, e := range log {
		t.v.Measured[e.Name] = e.Digest[:]
	}
	return pass("%d events replay to PCR %d, %s", len(log), eventlog.PCR, short(got[:]))
}

func (t *trial) manifest() (attest.State, string) {
	if t.golden, t.opened = manifest.Open(t.e.Manifest, t.x.Policy); t.opened != nil {
		return fail("%v", t.opened)
	}
	t.v.Signers, t.v.Version = t.golden.Signers, t.golden.Version
	if end := time.Unix(t.golden.NotAfter, 0); end.Before(t.v.NotAfter) {
		t.v.NotAfter = end
	}
	return pass("%d of %d accepted signers", len(t.golden.Signers), len(t.x.Policy.Signers))
}

func (t *trial) validity() (attest.State, string) {
	err := manifest.Valid(t.golden.Manifest, t.x.Policy, t.x.Now)
	if err == nil {
		return pass("%q version %d", t.golden.Product, t.golden.Version)
	}
	if errors.Is(err, manifest.ErrProduct) {
		return fail("%v: %q", manifest.ErrProduct, t.golden.Product)
	}
	return fail("%v", err)
}

// Package links runs the chain of a verdict: one check after the other, until
// the first that breaks. What a link says and how it is checked belongs to each
// kind of evidence; how the chain runs, and everything about the manifest, is
// the same for all and is here.
package links

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
)

// FoundLimit bounds Link.Found, in characters.
const FoundLimit = 160

// Step is a link's standing text and how it is checked. T is the trial of one
// kind of evidence.
type Step[T any] struct {
	attest.Link
	Check func(T) (attest.State, string)
}

// New is a step: the standing text of its link, and its check.
func New[T any](id, claim, rule, notProven, why string, check func(T) (attest.State, string)) Step[T] {
	return Step[T]{attest.Link{ID: id, Claim: claim, Rule: rule, NotProven: notProven, Why: why}, check}
}

// Trial is what every run of a chain works on; each kind of evidence embeds it
// in its own.
type Trial struct {
	E      attest.Evidence
	X      attest.Expect
	V      *attest.Verdict
	Golden manifest.Opened // after Manifest passed

	data []attest.Datum
}

// Run checks the steps in their order and puts a link for each into the verdict
// of t, which of embeds. Links after the first broken one are NotChecked.
func Run[T any](t *Trial, of T, steps []Step[T]) {
	broken := false
	for _, s := range steps {
		l := s.Link
		if broken {
			l.Found = "not checked: a link above is broken"
		} else {
			t.data = nil
			l.State, l.Found = s.Check(of)
			l.Found, l.Data = clip(l.Found), t.data
			broken = l.State == attest.Fail
		}
		t.V.Links = append(t.V.Links, l)
	}
}

func clip(s string) string {
	if utf8.RuneCountInString(s) <= FoundLimit {
		return s
	}
	return string([]rune(s)[:FoundLimit-1]) + "…"
}

// Show adds a value to the evidence of the link under way.
func (t *Trial) Show(name string, value []byte) {
	t.data = append(t.data, attest.Datum{Name: name, Value: value})
}

// Until moves the end of the verdict forward.
func (t *Trial) Until(end time.Time) {
	if end.Before(t.V.NotAfter) {
		t.V.NotAfter = end
	}
}

// Pass, and the three after it, are what a check returns.
func Pass(format string, a ...any) (attest.State, string) {
	return attest.Pass, fmt.Sprintf(format, a...)
}

// Fail breaks the chain.
func Fail(format string, a ...any) (attest.State, string) {
	return attest.Fail, fmt.Sprintf(format, a...)
}

// Unchecked says why there was nothing to check.
func Unchecked(format string, a ...any) (attest.State, string) {
	return attest.NotChecked, fmt.Sprintf(format, a...)
}

// Warn holds, with something that a person should know.
func Warn(format string, a ...any) (attest.State, string) {
	return attest.Warn, fmt.Sprintf(format, a...)
}

// Manifest opens the signed manifest by the policy.
func (t *Trial) Manifest() (attest.State, string) {
	t.Show("signed manifest", t.E.Manifest)
	var err error
	if t.Golden, err = manifest.Open(t.E.Manifest, t.X.Policy); err != nil {
		return Fail("%v", err)
	}
	t.V.Signers, t.V.Version = t.Golden.Signers, t.Golden.Version
	t.V.Deny, t.V.Manifest = t.Golden.Deny.Version, t.Golden.Digest
	t.Until(time.Unix(t.Golden.NotAfter, 0))
	return Pass("%d of %d accepted signers, %d needed", len(t.Golden.Signers), len(t.X.Policy.Signers), t.X.Policy.Threshold)
}

// Validity holds product, version and dates against policy and time.
func (t *Trial) Validity() (attest.State, string) {
	err := manifest.Valid(t.Golden.Manifest, t.X.Policy, t.X.Now)
	if errors.Is(err, manifest.ErrProduct) {
		return Fail("%v: %q", manifest.ErrProduct, t.Golden.Product)
	}
	if err != nil {
		return Fail("%v", err)
	}
	return Pass("%q version %d", t.Golden.Product, t.Golden.Version)
}

// Denied looks up what the verdict names, and the serials of certificates.
func (t *Trial) Denied(serials ...string) (attest.State, string) {
	switch why, err := t.Golden.Denied(t.V, t.X.Policy, serials...); {
	case err != nil:
		return Fail("%v", err)
	case why != "":
		return Fail("%s", why)
	}
	return Pass("deny list %d", t.Golden.Deny.Version)
}

// LogProof asks whether the manifest is in the journal.
func (t *Trial) LogProof() (attest.State, string) {
	return manifest.Proven(t.E.Manifest, t.E.Proof, t.X.Policy.Log, t.X.Now)
}

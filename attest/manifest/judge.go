package manifest

import (
	"crypto/sha256"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
)

// Measured is what evidence showed, to be held against a manifest's baselines.
type Measured struct {
	Type       string // of the evidence
	Events     []eventlog.Event
	Rows       []attest.PCRRow // with events where a log explains them
	Bank       attest.Bank     // of the rows
	SecureBoot bool            // was on, as the firmware's log shows
	SPKI       [32]byte
	JobKey     []byte
	Manifest   []byte // as signed
	Report     []byte // launch measurement, for other types than tpm2
}

// Judgement is how far the best baseline was met. PCR, Event and Report say
// what is wrong, for a person, naming the first difference; all empty: the
// machine matches Baseline whole.
type Judgement struct {
	Baseline string
	Rows     []attest.PCRRow // with Want, State and Diff filled in
	PCR      string
	Event    string
	Report   string
}

// OK reports whether the whole baseline is met.
func (j Judgement) OK() bool { return j.PCR == "" && j.Event == "" && j.Report == "" }

// Judge holds m against each baseline of o. One must be met whole: registers
// of one and events of another are no match. When none is, the judgement is
// about the one that was met furthest.
func (o Opened) Judge(m Measured) Judgement {
	b := o.Baselines[0]
	j := Judgement{Baseline: b.Name, Rows: m.Rows}
	for i := range max(len(m.Events), len(b.Events)) {
		if j.Event = m.event(b, i); j.Event != "" {
			break
		}
	}
	return j
}

// event is what is wrong with event i, or "".
func (m Measured) event(b attest.Baseline, i int) string {
	if i >= len(m.Events) {
		return fmt.Sprintf("event %d: expected %q, got end of log", i, b.Events[i].Name)
	}
	e := m.Events[i]
	if i >= len(b.Events) {
		return fmt.Sprintf("event %d %q: expected end of log, got %s", i, e.Name, short(e.Digest[:]))
	}
	g := b.Events[i]
	if g.Name != e.Name {
		return fmt.Sprintf("event %d: expected %q, got %q", i, g.Name, e.Name)
	}
	if g.Bound {
		if want := m.bound(e.Name); want != e.Digest {
			return fmt.Sprintf("event %d %q: expected this connection's %s, got %s", i, e.Name, short(want[:]), short(e.Digest[:]))
		}
		return ""
	}
	for _, want := range g.Any {
		if want == e.Digest {
			return ""
		}
	}
	more := ""
	if n := len(g.Any) - 1; n > 0 {
		more = fmt.Sprintf(" (or %d more)", n)
	}
	return fmt.Sprintf("event %d %q: expected %s%s, got %s", i, e.Name, short(g.Any[0][:]), more, short(e.Digest[:]))
}

// bound is the digest that a bound event must have on this connection.
func (m Measured) bound(name string) [32]byte {
	switch name {
	case "tls-key":
		return m.SPKI
	case "manifest":
		return sha256.Sum256(m.Manifest)
	}
	return sha256.Sum256(m.JobKey)
}

// short is enough of a digest to tell two apart on a screen.
func short(b []byte) string {
	if len(b) < 4 {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprintf("%x…%x", b[:2], b[len(b)-1:])
}

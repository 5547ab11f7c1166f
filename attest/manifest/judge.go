package manifest

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
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
	Certified  bool   // a certification of the job key is shown; the verifier checks it
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

	met int // how much of the baseline was met, to choose the nearest
}

// OK reports whether the whole baseline is met.
func (j Judgement) OK() bool { return j.PCR == "" && j.Event == "" && j.Report == "" }

// Judge holds m against each baseline of o. One must be met whole: registers
// of one and events of another are no match. When none is, the judgement is
// about the one that was met furthest.
func (o Opened) Judge(m Measured) Judgement {
	best := Judgement{Rows: m.Rows, PCR: "no baseline is for evidence of type " + m.Type, met: -1}
	for _, b := range o.Baselines {
		j := m.against(b)
		if j.OK() {
			return j
		}
		if j.met > best.met {
			best = j
		}
	}
	return best
}

func (m Measured) against(b attest.Baseline) Judgement {
	j := Judgement{Baseline: b.Name, Rows: append([]attest.PCRRow(nil), m.Rows...)}
	if m.Type != "tpm2" {
		j.Report = "expected one of the measurements of baseline " + fmt.Sprintf("%q, got %s", b.Name, attest.Short(m.Report))
		for _, r := range b.Reports {
			if len(r) > 0 && bytes.Equal(r, m.Report) {
				j.Report, j.met = "", 1
			}
		}
		return j
	}
	for i := range max(len(m.Events), len(b.Events)) {
		if j.Event = m.event(b, i); j.Event != "" {
			break
		}
		j.met++
	}
	for _, r := range b.PCRs {
		if wrong := j.rule(r, m.Bank); wrong == "" {
			j.met++
		} else if j.PCR == "" {
			j.PCR = wrong
		}
	}
	if b.SecureBoot && !m.SecureBoot && j.PCR == "" {
		j.PCR = fmt.Sprintf("baseline %q demands Secure Boot, and the log does not show that it was on", b.Name)
	}
	return j
}

// rule holds one register against what is demanded of it.
func (j *Judgement) rule(r attest.PCRRule, bank attest.Bank) string {
	for i := range j.Rows {
		row := &j.Rows[i]
		if row.Index != r.Index {
			continue
		}
		row.Want = r.Values
		switch {
		case r.Bank != bank:
			row.Diff = fmt.Sprintf("the baseline is about bank %04x, quoted was %04x", uint16(r.Bank), uint16(bank))
		case len(r.Values) > 0:
			row.Diff = valueDiff(*row, r.Values)
		default:
			row.Diff = eventDiff(row, r.Events)
		}
		row.State = attest.PCRMatches
		if row.Diff != "" {
			row.State = attest.PCRDiffers
			return fmt.Sprintf("PCR %d (%s): %s", row.Index, row.Meaning, row.Diff)
		}
		return ""
	}
	return fmt.Sprintf("PCR %d is demanded and was not quoted", r.Index)
}

func valueDiff(row attest.PCRRow, want [][]byte) string {
	for _, w := range want {
		if bytes.Equal(w, row.Value) {
			return ""
		}
	}
	more := ""
	if n := len(want) - 1; n > 0 {
		more = fmt.Sprintf(" (or %d more)", n)
	}
	return fmt.Sprintf("expected %s%s, got %s", attest.Short(want[0]), more, attest.Short(row.Value))
}

// eventDiff wants a log that explains the register, and each event of it in
// the list.
func eventDiff(row *attest.PCRRow, accepted [][]byte) string {
	if !row.Explained {
		return "its events are demanded, and no log explains it"
	}
	if i, text := bootlog.FirstStray(*row, accepted); i >= 0 {
		row.Events = append([]attest.PCREvent(nil), row.Events...)
		row.Events[i].First = true
		return text
	}
	return ""
}

// event is what is wrong with event i, or "".
func (m Measured) event(b attest.Baseline, i int) string {
	if i >= len(m.Events) {
		return fmt.Sprintf("event %d: expected %q, got end of log", i, b.Events[i].Name)
	}
	e := m.Events[i]
	if i >= len(b.Events) {
		return fmt.Sprintf("event %d %q: expected end of log, got %s", i, e.Name, attest.Short(e.Digest[:]))
	}
	g := b.Events[i]
	if g.Name != e.Name {
		return fmt.Sprintf("event %d: expected %q, got %q", i, g.Name, e.Name)
	}
	if g.Bound {
		if want := m.bound(e.Name); want != e.Digest && !m.later(e) {
			return fmt.Sprintf("event %d %q: expected this connection's %s, got %s", i, e.Name, attest.Short(want[:]), attest.Short(e.Digest[:]))
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
	return fmt.Sprintf("event %d %q: expected %s%s, got %s", i, e.Name, attest.Short(g.Any[0][:]), more, attest.Short(e.Digest[:]))
}

// later reports whether e says that there was no job key yet. A certified one
// is made after the log was closed, for the state that the log leads to.
func (m Measured) later(e eventlog.Event) bool {
	return e.Name == "job-key" && m.Certified && e.Digest == sha256.Sum256(nil)
}

// bound is the digest that a bound event must have on this connection.
func (m Measured) bound(name string) [32]byte {
	switch name {
	case "tls-key", "node-key":
		return m.SPKI
	case "manifest":
		return sha256.Sum256(m.Manifest)
	}
	return sha256.Sum256(m.JobKey)
}

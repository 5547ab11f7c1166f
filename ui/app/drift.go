package app

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/channel"
	"cipherdeck/vault"
)

// Drift is how a machine differs from its last good verdict. It breaks no link:
// an update is drift too.
type Drift struct {
	Since time.Time // of the last good verdict; zero when there is none
	Lines []string  // a register a line, with the first event that differs
}

// Drift is how the newest verdict on a server differs from the last good one
// before it. While jobs are suspended, that is the one before the suspension.
func (a *App) Drift(name string) Drift {
	a.board.mu.Lock()
	defer a.board.mu.Unlock()
	return a.board.drifts[name]
}

func driftOf(g *vault.GoodState, v *attest.Verdict) Drift {
	if g == nil {
		return Drift{}
	}
	return Drift{time.Unix(g.At, 0), bootlog.Diff(rowsOf(g), withKept(g, v.PCRs))}
}

// named are the first lines of a drift that name an event, for the history.
func named(g *vault.GoodState, v *attest.Verdict) (out []string) {
	const most, long = 3, 240
	for _, l := range driftOf(g, v).Lines {
		if strings.Contains(l, ": event ") || strings.Contains(l, ": one more event") {
			out = append(out, cutText(l, long))
		}
		if len(out) == most {
			break
		}
	}
	return out
}

// goodState keeps of a verdict what a later one is compared with.
func goodState(v *attest.Verdict, now time.Time) *vault.GoodState {
	g := &vault.GoodState{At: now.Unix()}
	left := vault.MaxEvents
	for _, r := range v.PCRs {
		k := vault.Register{Index: r.Index, Value: bytes.Clone(r.Value), Cut: len(r.Events) > left}
		if !k.Cut {
			left -= len(r.Events)
			for _, e := range r.Events {
				k.Events = append(k.Events, vault.Event{Type: cutText(e.Type, vault.MaxEventText), Text: cutText(e.Text, vault.MaxEventText), Digest: bytes.Clone(e.Digest)})
			}
		}
		g.Registers = append(g.Registers, k)
	}
	return g
}

// isGood reports whether a verdict shows the registers that were kept.
func isGood(g *vault.GoodState, v *attest.Verdict) bool {
	if g == nil || len(g.Registers) != len(v.PCRs) {
		return false
	}
	for i, r := range g.Registers {
		if r.Index != v.PCRs[i].Index || !bytes.Equal(r.Value, v.PCRs[i].Value) {
			return false
		}
	}
	return true
}

func rowsOf(g *vault.GoodState) (out []attest.PCRRow) {
	for _, r := range g.Registers {
		row := attest.PCRRow{Index: r.Index, Value: r.Value}
		for _, e := range r.Events {
			row.Events = append(row.Events, attest.PCREvent{Type: e.Type, Text: e.Text, Digest: e.Digest})
		}
		out = append(out, row)
	}
	return out
}

// withKept leaves the events out of registers of which none were kept: they
// would all seem to be new.
func withKept(g *vault.GoodState, rows []attest.PCRRow) []attest.PCRRow {
	out := append([]attest.PCRRow(nil), rows...)
	for i := range out {
		for _, r := range g.Registers {
			if r.Index == out[i].Index && r.Cut {
				out[i].Events = nil
			}
		}
	}
	return out
}

// cutText cuts text to at most n bytes, at the start of a letter.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n -= len("…"); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n] + "…"
}

// firmwareDrift names the first event at which the firmware logs of two
// exchanges part, a register a line. Logs that cannot be read say nothing.
func firmwareDrift(a, b channel.Transcript) []string {
	x, y := firmwareRows(a), firmwareRows(b)
	var told []attest.PCRRow
	for i := range y {
		if i < len(x) && len(x[i].Events)+len(y[i].Events) > 0 {
			told = append(told, y[i])
		}
	}
	return bootlog.Diff(x, told)
}

func firmwareRows(t channel.Transcript) []attest.PCRRow {
	c, e, err := t.Parts()
	if err != nil {
		return nil
	}
	x, err := bootlog.Explain(e.Firmware, c.Bank, e.PCRs)
	if err != nil {
		return nil
	}
	return x.Rows
}

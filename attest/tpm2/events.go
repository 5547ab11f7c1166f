package tpm2

import (
	"crypto/sha256"
	"fmt"
	"unicode/utf8"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/manifest"
)

// events holds the log against the manifest. A manifest that nobody accepted
// signed gives no answer here: the link stays unchecked and the manifest's own
// link breaks.
func (t *trial) events() (attest.State, string) {
	t.golden, t.opened = manifest.Open(t.e.Manifest, t.x.Policy)
	if t.opened != nil {
		return attest.NotChecked, "no accepted manifest to hold the log against"
	}
	for i := range max(len(t.log), len(t.golden.Events)) {
		if wrong := t.event(i); wrong != "" {
			return attest.Fail, wrong
		}
	}
	return pass("%d events, all in the manifest", len(t.log))
}

// event is what is wrong with event i, or "".
func (t *trial) event(i int) string {
	if i >= len(t.log) {
		return fmt.Sprintf("event %d: expected %s, got end of log", i, quote(t.golden.Events[i].Name))
	}
	e := t.log[i]
	if i >= len(t.golden.Events) {
		return fmt.Sprintf("event %d %s: expected end of log, got %s", i, quote(e.Name), short(e.Digest[:]))
	}
	g := t.golden.Events[i]
	if g.Name != e.Name {
		return fmt.Sprintf("event %d: expected %s, got %s", i, quote(g.Name), quote(e.Name))
	}
	if g.Bound {
		if want := t.bound(e.Name); want != e.Digest {
			return fmt.Sprintf("event %d %s: expected this connection's %s, got %s", i, quote(e.Name), short(want[:]), short(e.Digest[:]))
		}
		return ""
	}
	for _, want := range g.Any {
		if want == e.Digest {
			return ""
		}
	}
	return mismatch(i, e, g.Any)
}

func mismatch(i int, e eventlog.Event, want [][32]byte) string {
	more := ""
	if n := len(want) - 1; n > 0 {
		more = fmt.Sprintf(" (or %d more)", n)
	}
	return fmt.Sprintf("event %d %s: expected %s%s, got %s", i, quote(e.Name), short(want[0][:]), more, short(e.Digest[:]))
}

// bound is the digest that a bound event must have on this connection.
// manifest.Open allows only these two names.
func (t *trial) bound(name string) [32]byte {
	if name == "tls-key" {
		return t.x.SPKI
	}
	return sha256.Sum256(t.e.JobKey)
}

// short is enough of a digest to tell two apart on a screen.
func short(b []byte) string {
	if len(b) < 4 {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprintf("%x…%x", b[:2], b[len(b)-1:])
}

const (
	foundLimit = 100 // characters of Link.Found
	nameLimit  = 24
)

func quote(name string) string {
	if len(name) > nameLimit {
		name = name[:nameLimit-3] + "..."
	}
	return fmt.Sprintf("%q", name)
}

func clip(s string) string {
	if utf8.RuneCountInString(s) <= foundLimit {
		return s
	}
	return string([]rune(s)[:foundLimit-1]) + "…"
}

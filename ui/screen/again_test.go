package screen

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
)

// Whoever proved something in this session is asked again when the proof is old:
// each once, and nobody while the vault is locked.
func TestOldProofsAreAskedAgain(t *testing.T) {
	r := unlocked(t, 80, 24)
	r.s.app = func() *app.App { return app.New(app.Config{Home: t.TempDir()}) }
	var names []string
	r.ask = func(_ *app.App, name string) { names = append(names, name) }
	r.s.now = func() time.Time { return clock().Add(askAgain - 4*time.Minute) }
	if c := r.askOld(); c != nil {
		t.Error("a fresh proof is asked for again")
	}
	r.s.now = func() time.Time { return clock().Add(askAgain) }
	c := r.askOld()
	if c == nil {
		t.Fatal("nobody is asked")
	}
	if again := r.askOld(); again != nil {
		t.Error("asked twice at once")
	}
	m := c()
	if !slices.Equal(names, []string{"main"}) { // the other one never proved anything
		t.Errorf("asked %v", names)
	}
	r.Update(m)
	if r.asking["main"] {
		t.Error("still asking")
	}
	r.s.data.facts.Unlocked = false
	if c := r.askOld(); c != nil {
		t.Error("a locked vault asks")
	}
}

// A difference is said on whatever screen there is, once.
func TestDriftIsSaid(t *testing.T) {
	r := unlocked(t, 80, 24)
	r.Update(boardMoved{verdicts: drifting(), runs: runs()})
	if !strings.Contains(r.said.text, "not as with its last good verdict: PCR 11") || !strings.Contains(r.said.text, "1 more") {
		t.Errorf("said %q", r.said.text)
	}
	r.say(sayNothing, "")
	r.Update(boardMoved{verdicts: drifting(), runs: runs()})
	if r.said.text != "" {
		t.Errorf("said again: %q", r.said.text)
	}
}

// Another machine stops everything, once; every key leaves it as it is but the
// one that leads to the command which asks for the name.
func TestAnotherMachineStops(t *testing.T) {
	r := unlocked(t, 80, 24)
	r.Update(boardMoved{verdicts: swapped(), runs: runs()})
	if n := len(r.over); n != 1 || !strings.Contains(r.over[0].title(), "STOP") {
		t.Fatalf("%d overlays", n)
	}
	keys(r, "y", "x")
	if len(r.over) != 1 {
		t.Error("any key accepts")
	}
	keys(r, "enter")
	r.Update(boardMoved{verdicts: swapped(), runs: runs()})
	if len(r.over) != 0 {
		t.Error("it comes back without a new answer")
	}
	again := swapped()
	j := again["lab-2"]
	j.At = j.At.Add(time.Minute)
	again["lab-2"] = j
	r.Update(boardMoved{verdicts: again, runs: runs()})
	if len(r.over) != 1 {
		t.Error("a new answer of the other machine does not stop")
	}
	if word, _ := (entry{judged: &j}).word(); word != "✗ REFUSED" {
		t.Errorf("its word is %q", word)
	}
	c, done := r.over[0].key(part.Key{Name: "f"}, 20)
	if !done || c == nil {
		t.Fatal("f leads nowhere")
	}
	r.over = nil
	r.Update(c())
	if len(r.over) == 0 {
		t.Fatal("no form")
	}
	if f, ok := r.over[len(r.over)-1].(*formOver); !ok || !strings.Contains(f.title(), "another machine") {
		t.Errorf("f leads to %T", r.over[len(r.over)-1])
	}
}

// y copies what is chosen, whole, or says why there is nothing.
func TestCopy(t *testing.T) {
	r := unlocked(t, 120, 40)
	v := r.screens[1].(*servers)
	var got string
	v.put = func(b []byte) (string, error) { got = string(b); return "test", nil }
	y := func(before ...string) {
		keys(r, before...)
		if c := r.key(part.Key{Name: "y"}); c == nil {
			t.Error("y does nothing")
		} else {
			r.event(c())
		}
	}
	y("2", "enter", "p", "j")
	if got != strings.Repeat("08", 32) || !strings.Contains(r.said.text, "copied PCR 11, 64 bytes") {
		t.Errorf("%q; said %q", got, r.said.text)
	}
	y("i")
	if !strings.HasPrefix(got, "atlas banjo") {
		t.Errorf("%q", got)
	}
	y("c")
	if !strings.HasPrefix(got, "ek.certificate") {
		t.Errorf("%q", got)
	}
	y("t")
	if !strings.Contains(r.said.text, "nothing to copy") {
		t.Errorf("said %q", r.said.text)
	}
	v.put = func([]byte) (string, error) { return "", errors.New("no clipboard") }
	y("i")
	if !strings.Contains(r.said.text, "not copied: no clipboard") {
		t.Errorf("said %q", r.said.text)
	}
}

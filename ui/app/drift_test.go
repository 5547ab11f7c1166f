package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/doc"
	"cipherdeck/vault"
)

// eventful is a good verdict whose register 7 has these events.
func eventful(value byte, events ...string) *attest.Verdict {
	v := proved()
	v.PCRs[0].Value, v.PCRs[0].Meaning = []byte{value}, "Secure Boot state and keys"
	for _, e := range events {
		v.PCRs[0].Events = append(v.PCRs[0].Events, attest.PCREvent{Type: "EV", Text: e, Digest: []byte(e)})
	}
	return v
}

// TestDriftByEvent: what differs is named by its first event, against the last
// good verdict, which stays the same until a person resumed the server.
func TestDriftByEvent(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s, _ := learn(vault.Pinned{}, eventful(1, "a", "b", "c"), nil, now)
	moved := eventful(2, "a", "x", "c")
	lines := driftOf(s.Machine.Good, moved).Lines
	if len(lines) != 1 || lines[0] != "PCR 7 (Secure Boot state and keys): event 1: EV x, was EV b" {
		t.Fatalf("%q", lines)
	}
	s, _ = learn(s, moved, nil, now.Add(time.Minute))
	if last := s.Machine.History[1]; s.Machine.Held == "" || !strings.Contains(last.Note, "event 1: EV x, was EV b") {
		t.Fatalf("held %q, note %q", s.Machine.Held, last.Note)
	}
	s, _ = learn(s, moved, nil, now.Add(3*time.Hour))
	if lines = driftOf(s.Machine.Good, moved).Lines; len(lines) != 1 {
		t.Errorf("it is forgotten while jobs are suspended: %q", lines)
	}
	s.Machine.Held = ""
	s, keep := learn(s, moved, nil, now.Add(3*time.Hour+time.Minute))
	if lines = driftOf(s.Machine.Good, moved).Lines; !keep || len(lines) != 0 {
		t.Errorf("resumed: keep %v, %q", keep, lines)
	}
	// What its signers signed is drift, and the next one is measured from it.
	update := eventful(3, "a", "y")
	update.Version, update.Manifest = 4, [32]byte{4}
	s, _ = learn(s, update, nil, now.Add(4*time.Hour))
	if s.Machine.Held != "" || !isGood(s.Machine.Good, update) {
		t.Errorf("update: %q", s.Machine.Held)
	}
}

// TestKeptIsBounded: a machine with endless events fills no vault, and a list
// that was not kept is not called different.
func TestKeptIsBounded(t *testing.T) {
	var events []string
	for i := range vault.MaxEvents + 1 {
		events = append(events, fmt.Sprint(i)+strings.Repeat("é", 500))
	}
	for name, n := range map[string]int{"fits": vault.MaxEvents, "too many": vault.MaxEvents + 1} {
		v := eventful(1, events[:n]...)
		for i := range v.PCRs[0].Events {
			v.PCRs[0].Events[i].Digest = make([]byte, 48)
		}
		g := goodState(v, time.Unix(0, 0))
		raw, err := doc.Encode(g)
		if err != nil || len(raw) > 256<<10 {
			t.Errorf("%s: %d bytes, %v", name, len(raw), err)
		}
		if g.Registers[0].Cut != (n > vault.MaxEvents) {
			t.Errorf("%s: cut %v", name, g.Registers[0].Cut)
		}
		v.PCRs[0].Value = []byte{2}
		if l := driftOf(g, v).Lines; len(l) != 1 || strings.Contains(l[0], "more event") {
			t.Errorf("%s: %q", name, l)
		}
	}
}

// TestQuietRunsAreOneEntry: a machine that is asked every hour for months keeps
// what happened before, and how it began is never forgotten.
func TestQuietRunsAreOneEntry(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s, _ := learn(vault.Pinned{}, proved(), nil, now)
	for range 24 * 365 {
		now = now.Add(time.Hour)
		s, _ = learn(s, proved(), nil, now)
	}
	h := s.Machine.History
	if len(h) != 1 || h[0].Note != "first seen" || s.Machine.Quiet[h[0].At] != (vault.Quiet{Times: 24 * 365, Last: now.Unix()}) {
		t.Fatalf("%d entries: %+v", len(h), s.Machine.Quiet)
	}
	for i := range vault.MaxHistory * 2 {
		v := proved()
		v.Boot.ResetCount = uint32(i + 10)
		s, _ = learn(s, v, nil, now.Add(time.Duration(i)*time.Second))
	}
	if h = s.Machine.History; len(h) != vault.MaxHistory || h[0].Note != "first seen" || h[len(h)-1].Resets != vault.MaxHistory*2+9 {
		t.Fatalf("%d entries, first %+v", len(h), h[0])
	}
	if len(s.Machine.Quiet) > vault.MaxHistory {
		t.Errorf("%d counts", len(s.Machine.Quiet))
	}
	bad := proved()
	bad.Links[3].State = attest.Fail
	before := s
	s, _ = learn(s, bad, nil, now)
	if s, _ = learn(s, proved(), nil, now.Add(time.Second)); !strings.Contains(s.Machine.History[len(s.Machine.History)-1].Note, "good again") {
		t.Error("that it is good again is not written down")
	}
	if len(before.Machine.History) != vault.MaxHistory || before.Machine.History[vault.MaxHistory-1].Broken != "" {
		t.Error("what was known was changed in place")
	}
}

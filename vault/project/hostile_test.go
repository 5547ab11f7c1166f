package project

import (
	"bytes"
	"errors"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
)

// An auditor has no key. Nothing of what he tries to add may leave him, least
// of all under a key of zero bytes.
func TestAuditorSendsNothing(t *testing.T) {
	s, alice, carol := newShelf(), person(t, "alice"), person(t, "carol")
	p := create(t, s, alice)
	if err := p.Share(t.Context(), carol.Account, chain.Auditor); err != nil {
		t.Fatal(err)
	}
	pc, err := open(t, s, carol, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.blobs)
	_, err = pc.Add(t.Context(), Meta{Kind: Dataset, Name: "x.csv"}, bytes.NewReader([]byte("secret")), progress.Discard{})
	if !errors.Is(err, chain.ErrRight) || len(s.blobs) != before {
		t.Fatalf("%v, %d blobs were sent", err, len(s.blobs)-before)
	}
	if _, err := (ring{}).key(1); !errors.Is(err, ErrNoKey) {
		t.Fatalf("an absent key: %v", err)
	}
}

// put makes blob the newest index as a hostile writer would, unchecked.
func put(t *testing.T, p *Project, blob []byte) {
	t.Helper()
	if err := p.putBytes(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	if err := p.extend(t.Context(), chain.KindPut, putBody(blob)); err != nil {
		t.Fatal(err)
	}
}

// A root that its author sealed, and that says what no index says.
func TestIndexOfAHostileWriter(t *testing.T) {
	good := func() oldItem {
		return oldItem{Kind: Dataset, Name: "a.csv", Size: 1, Epoch: 1, Key: []byte{1}, Pieces: make([]id.ID, 1)}
	}
	for name, spoil := range map[string]func(*oldIndex){
		"negative size":   func(x *oldIndex) { x.Items[0].Size = -5 },
		"no pieces":       func(x *oldIndex) { x.Items[0].Pieces = nil },
		"too many pieces": func(x *oldIndex) { x.Items[0].Pieces = make([]id.ID, 2) },
		"huge size":       func(x *oldIndex) { x.Items[0].Size = 1 << 62 },
		"no name":         func(x *oldIndex) { x.Items[0].Name = "" },
		"kind":            func(x *oldIndex) { x.Items[0].Kind = "virus" },
		"same id twice":   func(x *oldIndex) { b := good(); b.Name = "b"; x.Items = append(x.Items, b) },
		"same name twice": func(x *oldIndex) { b := good(); b.ID[0] = 1; x.Items = append(x.Items, b) },
		"epoch":           func(x *oldIndex) { x.Items[0].Epoch = 0 },
		"version":         func(x *oldIndex) { x.V = 2 },
	} {
		s, alice := newShelf(), person(t, "alice")
		p := create(t, s, alice)
		x := oldIndex{V: 1, Name: "ward 7", Items: []oldItem{good()}}
		spoil(&x)
		put(t, p, sealOld(t, p, x))
		q, err := open(t, s, alice, p.ID(), Seen{})
		if err != nil || !errors.Is(q.Damage(), ErrDamaged) || len(q.Items()) != 0 {
			t.Errorf("%s: %v, damage %v", name, err, q.Damage())
		}
	}
}

// A writer who breaks the index can be removed, and the index put back.
func TestBrickedProjectIsRepaired(t *testing.T) {
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	add(t, p, "a.csv", []byte("1"))
	if err := p.Share(t.Context(), bob.Account, chain.Writer); err != nil {
		t.Fatal(err)
	}
	pb, err := open(t, s, bob, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	if err := pb.extend(t.Context(), chain.KindPut, chain.PutBody{Index: id.Of([]byte("never sent"))}); err != nil {
		t.Fatal(err)
	}
	q, err := open(t, s, alice, p.ID(), p.Seen())
	if err != nil || q.Damage() == nil {
		t.Fatalf("%v, damage %v", err, q.Damage())
	}
	if _, err := q.Add(t.Context(), Meta{Kind: Dataset, Name: "b"}, bytes.NewReader(nil), progress.Discard{}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("an edit would hide what was lost: %v", err)
	}
	if _, err := q.Remove(t.Context(), bob.Account.UID); err != nil {
		t.Fatalf("whoever broke it cannot be removed: %v", err)
	}
	if _, err := q.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := open(t, s, alice, p.ID(), q.Seen())
	if err != nil || again.Damage() != nil {
		t.Fatalf("%v, damage %v", err, again.Damage())
	}
	if got, err := read(t, again, "a.csv"); err != nil || string(got) != "1" {
		t.Fatalf("%q %v", got, err)
	}
}

// A server that shows an old head, and then a conflict, must not make a client
// finish under the new epoch what it began to send under the old one.
func TestAddStopsWhenTheEpochChanges(t *testing.T) {
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	q, err := open(t, s, alice, p.ID(), p.Seen())
	if err != nil {
		t.Fatal(err)
	}
	s.race = func() {
		if _, err := q.Remove(t.Context(), bob.Account.UID); err != nil {
			t.Error(err)
		}
	}
	_, err = p.Add(t.Context(), Meta{Kind: Dataset, Name: "after.csv"}, bytes.NewReader([]byte("1")), progress.Discard{})
	if !errors.Is(err, ErrEpoch) {
		t.Fatalf("%v", err)
	}
	if _, err := p.Item("after.csv"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("it is there all the same: %v", err)
	}
	add(t, p, "after.csv", []byte("1"))
}

func TestContains(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	first := p.Seen()
	add(t, p, "a.csv", []byte("1"))
	other := first
	other.Head[0] ^= 1
	if !p.Contains(first) || !p.Contains(p.Seen()) || p.Contains(other) || p.Contains(Seen{Seq: 99}) {
		t.Fatal("Contains does not tell its own links from others")
	}
}

package project

import (
	"errors"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
)

// sweep keeps only the live blobs of p on s, as a collection would.
func sweep(t *testing.T, s *shelf, p *Project) {
	t.Helper()
	keep := map[id.ID][]byte{}
	for i, err := range p.LiveBlobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.blobs[i]; !ok {
			t.Fatalf("live blob %s is not stored", i.Short())
		}
		keep[i] = s.blobs[i]
	}
	s.blobs = keep
}

func TestLiveBlobsAreEnough(t *testing.T) {
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	add(t, p, "a.bin", make([]byte, 2*PieceSize))
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	add(t, p, "b.bin", []byte("b"))
	if _, err := p.Remove(t.Context(), bob.Account.UID); err != nil {
		t.Fatal(err)
	}
	before := len(s.blobs)
	sweep(t, s, p)
	if len(s.blobs) >= before {
		t.Error("nothing was collected; an old index is not live")
	}
	q, err := Open(t.Context(), s, alice, p.ID(), Seen{}, time.Now)
	if err != nil || q.Damage() != nil {
		t.Fatal(err, q.Damage())
	}
	for _, n := range []string{"a.bin", "b.bin"} {
		if _, err := read(t, q, n); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
}

// Whoever cannot read the index must not be taken to know what is live.
func TestLiveBlobsOfAnAuditorEndInAnError(t *testing.T) {
	s, alice, carol := newShelf(), person(t, "alice"), person(t, "carol")
	p := create(t, s, alice)
	if err := p.Share(t.Context(), carol.Account, chain.Auditor); err != nil {
		t.Fatal(err)
	}
	q, err := open(t, s, carol, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range q.LiveBlobs(t.Context()) {
		last = err
	}
	if !errors.Is(last, ErrNoKey) {
		t.Fatalf("%v", last)
	}
}

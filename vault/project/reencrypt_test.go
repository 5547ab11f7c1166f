package project

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/account"
)

// removed is a project with versions and notes that bob could read until he was
// removed.
func removed(t *testing.T) (*shelf, *account.Me, *Project, *Project) {
	t.Helper()
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	add(t, p, "a", patterned(66*PieceSize))
	update(t, p, "a", patterned(66*PieceSize+1))
	add(t, p, "b", []byte("b"))
	it := add(t, p, "gone", []byte("gone"))
	if err := p.Do(t.Context(), Op{Do: DoRemove, Item: it.ID}); err != nil {
		t.Fatal(err)
	}
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	pb, err := open(t, s, bob, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Remove(t.Context(), bob.Account.UID); err != nil {
		t.Fatal(err)
	}
	return s, alice, p, pb
}

func under(p *Project, e uint32) EpochUse {
	for _, u := range p.Exposure() {
		if u.Epoch == e {
			return u
		}
	}
	return EpochUse{Epoch: e}
}

func TestReencryptMetadata(t *testing.T) {
	s, alice, p, _ := removed(t)
	if u := under(p, 1); u.Items != 2 || u.Versions != 3 || u.Sealed != 2 || u.Bytes != 2*66*PieceSize+2 || !p.OldNodes() {
		t.Fatalf("%+v", u)
	}
	if n, err := p.ReencryptMetadata(t.Context(), progress.Discard{}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	sweep(t, s, p)
	q, err := open(t, s, alice, p.ID(), p.Seen())
	if err != nil {
		t.Fatal(err)
	}
	// Nothing but the bytes is under the old epoch, and that is still said.
	if u := under(q, 1); u.Items != 2 || u.Sealed != 0 || q.OldNodes() {
		t.Fatalf("%+v", u)
	}
	delete(q.keys, 1)
	if got, err := read(t, q, "a"); err != nil || len(got) != 66*PieceSize+1 {
		t.Fatalf("without the old epoch's key: %d bytes, %v", len(got), err)
	}
}

// What bob kept: the keys of all items. After a full re-encryption they open no
// piece that is live.
func TestReencryptTakesBytesAway(t *testing.T) {
	s, alice, p, pb := removed(t)
	kept := map[ItemID][32]byte{}
	for _, it := range pb.Items() {
		r, err := pb.Record(t.Context(), it.ID)
		if err != nil {
			t.Fatal(err)
		}
		if kept[it.ID], err = pb.itemKey(r, 0); err != nil {
			t.Fatal(err)
		}
	}
	c := &cutAt{shelf: s, left: 20}
	p.srv = c
	keys := &sameKeys{}
	if _, err := p.Reencrypt(t.Context(), keys, progress.Discard{}); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	c.left, keys.again = 1<<30, true
	if _, err := p.Reencrypt(t.Context(), keys, progress.Discard{}); err != nil {
		t.Fatal(err)
	}
	// Of a, the last piece has one byte more in the newer version; all others are
	// sent once, though two versions name them and it was cut short.
	if want := 66 + 1 + 1; c.sent > want+40 {
		t.Errorf("%d blobs were sent", c.sent)
	}
	for _, u := range p.Exposure() {
		if u.Epoch == 1 && (u.Items != 0 || u.Bytes != 0 || u.Sealed != 0) || p.OldNodes() {
			t.Fatalf("%+v", u)
		}
	}
	sweep(t, s, p)
	q, err := Open(t.Context(), s, alice, p.ID(), p.Seen(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for rev, want := range map[uint64]int{1: 66 * PieceSize, 2: 66*PieceSize + 1} {
		it, _ := q.Item("a")
		var b bytes.Buffer
		if err := q.ReadVersion(t.Context(), it, rev, &b, progress.Discard{}); err != nil || !bytes.Equal(b.Bytes(), patterned(want)) {
			t.Fatalf("version %d: %d bytes, %v", rev, b.Len(), err)
		}
	}
	for _, blob := range s.blobs {
		for item, key := range kept {
			for n := range 72 {
				if len(blob) > cobblestone.HeaderSize {
					if _, err := cobblestone.Open(key, pieceContext(item, n), blob); err == nil {
						t.Fatal("a kept key opens a live piece")
					}
				}
			}
		}
	}
	if n, err := q.Reencrypt(t.Context(), ForgetfulKeys{}, progress.Discard{}); err != nil || n != 0 {
		t.Fatalf("again: %d items, %v", n, err)
	}
}

// sameKeys gives one key an item, as an app that remembers them.
type sameKeys struct {
	m     map[ItemID][32]byte
	again bool
}

func (k *sameKeys) Key(i ItemID, _ uint32) ([32]byte, bool, error) {
	if k.m == nil {
		k.m = map[ItemID][32]byte{}
	}
	key, ok := k.m[i]
	if !ok {
		key, _, _ = ForgetfulKeys{}.Key(i, 0)
		k.m[i] = key
	}
	return key, ok && k.again, nil
}

func TestKeyAge(t *testing.T) {
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	later := time.Now().Add(KeyAge + time.Hour)
	q, err := Open(t.Context(), s, alice, p.ID(), p.Seen(), func() time.Time { return later })
	if err != nil || q.EpochAge() <= KeyAge {
		t.Fatal(q.EpochAge(), err)
	}
	if err := q.Share(t.Context(), bob.Account, chain.Reader); err != nil || q.EpochAge() <= KeyAge {
		t.Fatal(q.EpochAge(), err)
	}
	if _, err := q.Remove(t.Context(), bob.Account.UID); err != nil || q.EpochAge() > time.Minute {
		t.Fatal(q.EpochAge(), err)
	}
	if err := q.Refresh(t.Context()); err != nil || q.EpochAge() > time.Minute {
		t.Fatal(q.EpochAge(), err)
	}
}

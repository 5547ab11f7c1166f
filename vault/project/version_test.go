package project

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
)

func update(t *testing.T, p *Project, name string, b []byte) Item {
	t.Helper()
	it, err := p.Update(t.Context(), Meta{Kind: Dataset, Name: name}, bytes.NewReader(b), progress.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

// patterned is n bytes of which no two pieces are the same.
func patterned(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>20) ^ byte(i)
	}
	return b
}

// A new version sends only what changed, and the old one stays readable.
func TestNewVersionSendsWhatChanged(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	one := patterned(70 * PieceSize) // 72 pieces with padding: two lists would be 1800
	it := add(t, p, "big", one)
	first := pieceIDs(t, p, it)
	before := len(s.blobs)
	two := bytes.Clone(one)
	two[5*PieceSize+9] ^= 1
	it = update(t, p, "big", two)
	if it.Rev != 2 || it.Heads != 1 {
		t.Fatalf("%+v", it)
	}
	second, differ := pieceIDs(t, p, it), 0
	for i := range second {
		if first[i] != second[i] {
			differ++
		}
	}
	// One piece, its list, two shards, root, link.
	if grown := len(s.blobs) - before; differ != 1 || grown != 6 {
		t.Fatalf("%d pieces differ, %d new blobs", differ, grown)
	}
	for rev, want := range map[uint64][]byte{1: one, 2: two, 0: two} {
		var b bytes.Buffer
		if err := p.ReadVersion(t.Context(), it, rev, &b, progress.Discard{}); err != nil || !bytes.Equal(b.Bytes(), want) {
			t.Fatalf("version %d: %d bytes, %v", rev, b.Len(), err)
		}
	}
	if err := p.ReadVersion(t.Context(), it, 3, io.Discard, progress.Discard{}); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

// After a removal the key of an item is one that the removed member may have
// kept. A new version must not be encrypted under it.
func TestNewVersionAfterARemovalHasANewKey(t *testing.T) {
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	add(t, p, "a", []byte("one"))
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Remove(t.Context(), bob.Account.UID); err != nil {
		t.Fatal(err)
	}
	it := update(t, p, "a", []byte("two"))
	r, err := p.Record(t.Context(), it.ID)
	if err != nil || len(r.Keys) != 2 || r.Keys[0].Born != 1 || r.Keys[1].Born != 2 || r.Versions[1].Key != 1 {
		t.Fatalf("%+v %v", r.Keys, err)
	}
	k0, _ := p.itemKey(r, 0)
	if k1, _ := p.itemKey(r, 1); k0 == k1 {
		t.Fatal("the same key")
	}
	if len(it.Held) != 2 || it.Born() != 1 {
		t.Fatalf("%+v", it.Held)
	}
}

// Two plaintexts never share a salt, and one never has two.
func TestSaltsOfPieces(t *testing.T) {
	key := []byte("k")
	seen := map[[24]byte]string{}
	for _, item := range []ItemID{{1}, {2}} {
		for n := range 3 {
			for _, plain := range []string{"", "a", "b", "ab"} {
				salt := pieceSalt(key, pieceContext(item, n), []byte(plain))
				if salt != pieceSalt(key, pieceContext(item, n), []byte(plain)) {
					t.Fatal("a salt changes")
				}
				if old, ok := seen[salt]; ok {
					t.Fatalf("%q and %q share a salt", old, plain)
				}
				seen[salt] = plain
			}
		}
	}
}

// cutAt is a server that fails after some blobs.
type cutAt struct {
	*shelf
	left int
	sent int
}

var errCut = errors.New("cut")

func (c *cutAt) PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error {
	c.mu.Lock()
	c.left--
	gone := c.left < 0
	if !gone {
		c.sent++
	}
	c.mu.Unlock()
	if gone {
		return errCut
	}
	return c.shelf.PutBlob(ctx, i, n, r)
}

func TestUploadGoesOnWhereItStopped(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	body := patterned(30*PieceSize + 5)
	u, err := p.Begin(t.Context(), "a", false)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutAt{shelf: s, left: 17}
	p.srv = c
	if _, err := p.Send(t.Context(), u, Meta{Kind: Artifact, Name: "a"}, bytes.NewReader(body), progress.Discard{}); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	c.left, u.Again = 1<<30, true
	// The source changed in a piece that was sent: that one is sent again.
	body[3*PieceSize] ^= 1
	it, err := p.Send(t.Context(), u, Meta{Kind: Artifact, Name: "a"}, bytes.NewReader(body), progress.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	// All pieces and the one that changed, two shards, root, link.
	if want := it.Pieces() + 1 + 4; c.sent != want {
		t.Errorf("%d blobs were sent, want %d", c.sent, want)
	}
	if got, err := read(t, p, "a"); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestDescribingItems(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	it := add(t, p, "a", []byte("1"))
	add(t, p, "b", []byte("2"))
	do := func(o Op) error { o.Item = it.ID; return p.Do(t.Context(), o) }
	for _, o := range []Op{
		{Do: DoTag, Tags: []string{"x", "gold"}}, {Do: DoTag, Untag: []string{"x"}},
		{Do: DoNote, Text: "first"}, {Do: DoNote, Text: "second"}, {Do: DoRename, Name: "c"},
	} {
		if err := do(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := do(Op{Do: DoRename, Name: "b"}); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := do(Op{Do: DoTag, Tags: []string{"a b"}}); !errors.Is(err, ErrField) {
		t.Errorf("a tag with a space: %v", err)
	}
	q, err := open(t, s, alice, p.ID(), p.Seen())
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.Item("c")
	if err != nil || len(got.Tags) != 1 || got.Tags[0] != "gold" {
		t.Fatalf("%+v %v", got, err)
	}
	if r, err := q.Record(t.Context(), it.ID); err != nil || len(r.Notes) != 2 || r.Note() != "second" {
		t.Fatalf("%+v %v", r, err)
	}
	if err := do(Op{Do: DoRemove}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Item("c"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if err := do(Op{Do: DoNote, Text: "late"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a note to what is gone: %v", err)
	}
	before := len(s.blobs)
	sweep(t, s, p)
	if len(s.blobs) >= before {
		t.Error("its bytes stay")
	}
	add(t, p, "c", []byte("again"))
	if _, err := open(t, s, alice, p.ID(), p.Seen()); err != nil {
		t.Fatal(err)
	}
}

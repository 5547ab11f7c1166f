package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// shelf keeps nodes as they are, and counts.
type shelf struct {
	mu     sync.Mutex
	nodes  map[id.ID][]byte
	paths  map[id.ID]Path
	opened int
	put    int
	bytes  int
	spoil  func(Path, []byte) []byte // what an opened node says instead
}

func newShelf() *shelf { return &shelf{nodes: map[id.ID][]byte{}, paths: map[id.ID]Path{}} }

func (s *shelf) Open(_ context.Context, p Path, r Ref) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	b, ok := s.nodes[r.ID]
	if !ok || s.paths[r.ID] != p {
		return nil, fmt.Errorf("no node %+v", p)
	}
	if s.spoil != nil {
		b = s.spoil(p, b)
	}
	return b, nil
}

func (s *shelf) Put(_ context.Context, p Path, plain []byte) (Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put++
	s.bytes += len(plain)
	i := id.Of(append(fmt.Append(nil, p), plain...))
	s.nodes[i], s.paths[i] = plain, p
	return Ref{ID: i, Epoch: 1}, nil
}

// seeded gives ids that are spread as random ones and the same each time.
func seeded(n int) []ItemID {
	r := rand.NewChaCha8([32]byte{3})
	out := make([]ItemID, n)
	for k := range out {
		r.Read(out[k][:])
	}
	return out
}

func rec(i ItemID, name string) Record {
	return Record{ID: i, Kind: Artifact, Name: name, Created: 5, Keys: []Key{{Born: 1, Epoch: 1, Sealed: make([]byte, 104)}},
		Versions: []Version{{Rev: 1, By: "abcdefghijklmnopqrstuvwxyz234567", Time: 5, Size: 1, Pieces: []id.ID{{1}}}}}
}

func edit(t testing.TB, tree *Tree, s *shelf, change func(*Tx)) (*Tree, []byte) {
	t.Helper()
	x := tree.Begin(context.Background(), s)
	change(x)
	next, root, err := x.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return next, root
}

func filled(t testing.TB, n int) (*Tree, []byte, *shelf, []ItemID) {
	s, ids := newShelf(), seeded(n)
	tree, root := edit(t, New("p"), s, func(x *Tx) {
		for k, i := range ids {
			if err := x.Put(rec(i, fmt.Sprint("item ", k))); err != nil {
				t.Fatal(err)
			}
		}
	})
	return tree, root, s, ids
}

func TestTenThousandItems(t *testing.T) {
	_, root, s, ids := filled(t, 10_000)
	for i, b := range s.nodes {
		if len(b) > nodeMax+3 {
			t.Fatalf("%+v has %d bytes", s.paths[i], len(b))
		}
	}
	tree, err := Load(t.Context(), s, root)
	if err != nil || len(tree.Items) != len(ids) {
		t.Fatal(len(tree.Items), err)
	}
	if s.opened > 60 {
		t.Errorf("a listing opens %d nodes", s.opened)
	}
	s.opened, s.put, s.bytes = 0, 0, 0
	r, err := tree.Record(t.Context(), s, ids[77])
	if err != nil || r.Name != "item 77" || s.opened != 1 {
		t.Fatalf("%q %v, %d nodes opened", r.Name, err, s.opened)
	}
	next, root := edit(t, tree, s, func(x *Tx) {
		r.Name = "another"
		if err := x.Put(r); err != nil {
			t.Fatal(err)
		}
	})
	if s.put != 2 || s.bytes > 2*nodeMax {
		t.Errorf("one change writes %d nodes, %d bytes", s.put, s.bytes)
	}
	again, err := Load(t.Context(), s, root)
	if err != nil || len(again.Items) != len(next.Items) {
		t.Fatal(err)
	}
	n := 0
	for _, err := range again.Records(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != len(ids) {
		t.Fatalf("%d records", n)
	}
}

// Items come and go at random; a map knows what must be there.
func TestRandomChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s, tree, root := newShelf(), New("p"), []byte(nil)
	want := map[ItemID]string{}
	ids := seeded(3000)
	for round := range 40 {
		tree, root = edit(t, tree, s, func(x *Tx) {
			for range 1 + r.IntN(200) {
				i := ids[r.IntN(len(ids))]
				old, err := x.Record(i)
				switch {
				case err != nil || old.Gone != 0:
					old = rec(i, fmt.Sprintf("%d-%x", round, i[:3]))
					old.Notes = []Note{{Text: string(make([]byte, r.IntN(12000)))}} // some spill
				case r.IntN(3) == 0:
					old = Record{ID: i, Kind: old.Kind, Name: old.Name, Gone: 1}
				default:
					old.Name = fmt.Sprintf("%d-%x", round, i[:4])
				}
				if err := x.Put(old); err != nil {
					t.Fatal(err)
				}
				if delete(want, i); old.Gone == 0 {
					want[i] = old.Name
				}
			}
		})
		var err error
		if tree, err = Load(t.Context(), s, root); err != nil {
			t.Fatal(err)
		}
		got := map[ItemID]string{}
		for rec, err := range tree.Records(t.Context(), s) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Gone == 0 {
				got[rec.ID] = rec.Name
			}
		}
		if len(got) != len(want) || len(tree.Items) != len(want) {
			t.Fatalf("round %d: %d records, %d items, want %d", round, len(got), len(tree.Items), len(want))
		}
		for i, name := range want {
			if got[i] != name {
				t.Fatalf("round %d: %s is %q, want %q", round, i, got[i], name)
			}
		}
	}
}

// What a member with the key could write and no program writes.
func TestHostileNodes(t *testing.T) {
	tree, top, s, _ := filled(t, 400)
	again := func(v any) []byte {
		b, err := doc.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	list := func(f func([]Item) []Item) func(Path, []byte) []byte {
		return func(p Path, b []byte) []byte {
			var items []Item
			if p.What != "list" || p.At != (ItemID{}) || doc.Decode(b, &items) != nil {
				return b
			}
			return again(f(items))
		}
	}
	record := func(f func(*Record)) func(Path, []byte) []byte {
		return func(p Path, b []byte) []byte {
			var entries []entry
			if p.What != "records" || doc.Decode(b, &entries) != nil {
				return b
			}
			for k := range entries {
				var r Record
				if err := doc.Decode(entries[k].Body, &r); err != nil {
					t.Fatal(err)
				}
				f(&r)
				entries[k].Body = again(r)
			}
			return again(entries)
		}
	}
	for name, spoil := range map[string]func(Path, []byte) []byte{
		"not CBOR":             func(_ Path, b []byte) []byte { return b[:len(b)-1] },
		"an item missing":      list(func(x []Item) []Item { return x[1:] }),
		"an item twice":        list(func(x []Item) []Item { return append(x[:1:1], x...) }),
		"out of order":         list(func(x []Item) []Item { x[0], x[1] = x[1], x[0]; return x }),
		"of another shard":     list(func(x []Item) []Item { x[len(x)-1].ID = ItemID{255, 255}; return x }),
		"two of a name":        list(func(x []Item) []Item { x[0].Name = x[1].Name; return x }),
		"negative size":        list(func(x []Item) []Item { x[0].Size = -1; return x }),
		"size near overflow":   list(func(x []Item) []Item { x[0].Size = 1 << 62; return x }),
		"no version":           list(func(x []Item) []Item { x[0].Rev = 0; return x }),
		"tags out of order":    list(func(x []Item) []Item { x[0].Tags = []string{"b", "a"}; return x }),
		"another size":         list(func(x []Item) []Item { x[0].Size++; return x }),
		"a record renamed":     record(func(r *Record) { r.Name += "x" }),
		"a record removed":     record(func(r *Record) { *r = Record{ID: r.ID, Kind: r.Kind, Name: r.Name, Gone: 1} }),
		"removed with content": record(func(r *Record) { r.Gone = 1 }),
		"key out of range":     record(func(r *Record) { r.Versions[0].Key = 1 }),
		"key of the future":    record(func(r *Record) { r.Keys[0].Born = 2 }),
		"no pieces":            record(func(r *Record) { r.Versions[0].Pieces = nil }),
		"parent of the future": record(func(r *Record) { r.Versions[0].Parents = []uint64{1} }),
		"another id":           record(func(r *Record) { r.ID[15] ^= 1 }),
	} {
		s.spoil = spoil
		x, err := Load(t.Context(), s, top)
		if err == nil {
			for _, err = range x.Records(t.Context(), s) {
				if err != nil {
					break
				}
			}
		}
		if !errors.Is(err, ErrShape) && name != "not CBOR" || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.spoil = nil
	for name, change := range map[string]func(*root){
		"version": func(r *root) { r.V = 3 }, "count": func(r *root) { r.Count++ },
		"shards swapped":             func(r *root) { r.Records[0], r.Records[1] = r.Records[1], r.Records[0] },
		"first not at the beginning": func(r *root) { r.List[0].From[0] = 1 },
	} {
		r := tree.root
		r.List, r.Records = append([]shard(nil), r.List...), append([]shard(nil), r.Records...)
		change(&r)
		if _, err := Load(t.Context(), s, again(r)); err == nil {
			t.Errorf("root, %s: it loads", name)
		}
	}
}

func TestManyPieces(t *testing.T) {
	s, v := newShelf(), Version{Rev: 1, Size: 5000 * PieceSize}
	all := make([]id.ID, pieces(v.Size))
	for k := range all {
		binary.BigEndian.PutUint32(all[k][:], uint32(k))
	}
	if err := PutPieces(t.Context(), s, ItemID{}, &v, all, Version{}); err != nil || len(v.Pieces) != 0 {
		t.Fatal(err)
	}
	next, put := v, s.put
	all[4000][31] = 1
	if err := PutPieces(t.Context(), s, ItemID{}, &next, all, v); err != nil || s.put != put+1 {
		t.Fatalf("%v, %d lists written", err, s.put-put)
	}
	got, err := next.PieceIDs(t.Context(), s, ItemID{})
	if err != nil || !same(got, all) {
		t.Fatal(len(got), err)
	}
	next.Lists[0], next.Lists[1] = next.Lists[1], next.Lists[0]
	if _, err := next.PieceIDs(t.Context(), s, ItemID{}); err == nil {
		t.Error("lists in another order")
	}
}

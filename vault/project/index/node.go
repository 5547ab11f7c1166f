package index

import (
	"bytes"
	"context"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Nodes seals, stores and opens nodes. A path says which node it is, and is
// bound to its ciphertext: a node opens nowhere but in its own place.
type Nodes interface {
	Open(ctx context.Context, path Path, r Ref) ([]byte, error)
	Put(ctx context.Context, path Path, plain []byte) (Ref, error)
}

// Path is the place of a node: what it is, of which item or from which item on,
// and its number there.
type Path struct {
	What string // "list", "records", "record" or "pieces"
	At   ItemID
	N    uint32
}

const (
	nodeMax  = 60 << 10 // plaintext of a shard; sealed and padded it stays under 64 KiB
	inline   = 8 << 10  // a longer record is a node of its own
	fewest   = 64       // more pieces than these are in lists
	listLen  = 1800     // pieces in a list: one shard's worth
	maxRoot  = 8 << 20
	maxCount = 1 << 22
)

// root is the plaintext of the root node.
type root struct {
	V       uint8   `cbor:"1,keyasint"`
	Name    string  `cbor:"2,keyasint"`
	Count   uint64  `cbor:"3,keyasint"` // items
	List    []shard `cbor:"4,keyasint"`
	Records []shard `cbor:"5,keyasint"`
}

// shard is a node with the items from From on, up to where the next begins.
type shard struct {
	_    struct{} `cbor:",toarray"`
	From ItemID
	Ref  Ref
}

// entry is an item's place in a shard of records: the record itself, or the
// node that holds it.
type entry struct {
	ID   ItemID `cbor:"1,keyasint"`
	Body []byte `cbor:"2,keyasint,omitempty"`
	Node []Ref  `cbor:"3,keyasint,omitempty"` // none or one
}

// within finds the shard that i belongs to.
func within(all []shard, i ItemID) int {
	lo, hi := 0, len(all)
	for lo < hi {
		if m := (lo + hi) / 2; compare(all[m].From, i) <= 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo - 1
}

func compare(a, b ItemID) int { return bytes.Compare(a[:], b[:]) }

func (r root) check() error {
	if r.V != 2 {
		return fmt.Errorf("%w: version %d, want 2", ErrShape, r.V)
	}
	if r.Count > maxCount {
		return fmt.Errorf("%w: %d items, limit %d", ErrShape, r.Count, maxCount)
	}
	for _, list := range [][]shard{r.List, r.Records} {
		for i, s := range list {
			if i == 0 && s.From != (ItemID{}) || i > 0 && compare(list[i-1].From, s.From) >= 0 {
				return fmt.Errorf("%w: shard %d begins at %s", ErrShape, i, s.From)
			}
		}
	}
	return nil
}

// ordered checks that the ids of a shard ascend and belong to it.
func ordered(all []shard, n int, ids func(func(ItemID) bool)) error {
	last, first := all[n].From, true
	for i := range ids {
		if c := compare(last, i); c > 0 || c == 0 && !first || n+1 < len(all) && compare(i, all[n+1].From) >= 0 {
			return fmt.Errorf("%w: item %s is in the shard from %s", ErrShape, i, all[n].From)
		}
		last, first = i, false
	}
	return nil
}

func openList(ctx context.Context, n Nodes, all []shard, at int) ([]Item, error) {
	plain, err := n.Open(ctx, Path{What: "list", At: all[at].From}, all[at].Ref)
	if err != nil {
		return nil, err
	}
	var items []Item
	if err := doc.Decode(plain, &items); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	for _, it := range items {
		if err := it.check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShape, err)
		}
	}
	return items, ordered(all, at, func(yield func(ItemID) bool) {
		for _, it := range items {
			if !yield(it.ID) {
				return
			}
		}
	})
}

func openRecords(ctx context.Context, n Nodes, all []shard, at int) ([]entry, error) {
	plain, err := n.Open(ctx, Path{What: "records", At: all[at].From}, all[at].Ref)
	if err != nil {
		return nil, err
	}
	var entries []entry
	if err := doc.Decode(plain, &entries); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return entries, ordered(all, at, func(yield func(ItemID) bool) {
		for _, e := range entries {
			if !yield(e.ID) {
				return
			}
		}
	})
}

// record opens the record of an entry.
func (e entry) record(ctx context.Context, n Nodes) (Record, error) {
	var r Record
	body := e.Body
	if len(e.Node) == 1 && len(body) == 0 {
		var err error
		if body, err = n.Open(ctx, Path{What: "record", At: e.ID}, e.Node[0]); err != nil {
			return r, err
		}
	}
	if err := doc.Decode(body, &r); err != nil {
		return r, fmt.Errorf("%w: record of item %s: %w", ErrShape, e.ID, err)
	}
	if r.ID != e.ID {
		return r, fmt.Errorf("%w: record of item %s under %s", ErrShape, r.ID, e.ID)
	}
	if err := r.check(); err != nil {
		return r, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return r, nil
}

// seal makes the entry of a record, with long lists of pieces in nodes.
func (r Record) seal(ctx context.Context, n Nodes) (entry, error) {
	for i, v := range r.Versions {
		if len(v.Pieces) > fewest {
			if err := PutPieces(ctx, n, r.ID, &r.Versions[i], v.Pieces, Version{}); err != nil {
				return entry{}, err
			}
		}
	}
	body, err := doc.Encode(r)
	if err != nil || len(body) <= inline {
		return entry{ID: r.ID, Body: body}, err
	}
	ref, err := n.Put(ctx, Path{What: "record", At: r.ID}, body)
	return entry{ID: r.ID, Node: []Ref{ref}}, err
}

// PutPieces gives v its pieces: inline when they are few, else in lists. Lists
// of base, a version that has the same pieces there, are named again.
func PutPieces(ctx context.Context, n Nodes, item ItemID, v *Version, all []id.ID, base Version) error {
	v.Pieces, v.Lists = nil, nil
	if len(all) <= fewest {
		v.Pieces = all
		return nil
	}
	for k := 0; len(all) > 0; k++ {
		part := all[:min(listLen, len(all))]
		all = all[len(part):]
		if k < len(base.Lists) {
			if old, err := openPieces(ctx, n, item, k, base.Lists[k]); err == nil && same(old, part) {
				v.Lists = append(v.Lists, base.Lists[k])
				continue
			}
		}
		plain, err := doc.Encode(part)
		if err != nil {
			return err
		}
		ref, err := n.Put(ctx, Path{What: "pieces", At: item, N: uint32(k)}, plain)
		if err != nil {
			return err
		}
		v.Lists = append(v.Lists, ref)
	}
	return nil
}

func same(a, b []id.ID) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func openPieces(ctx context.Context, n Nodes, item ItemID, k int, r Ref) ([]id.ID, error) {
	plain, err := n.Open(ctx, Path{What: "pieces", At: item, N: uint32(k)}, r)
	if err != nil {
		return nil, err
	}
	var out []id.ID
	if err := doc.Decode(plain, &out); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return out, nil
}

// PieceIDs are the names of all pieces of v.
func (v Version) PieceIDs(ctx context.Context, n Nodes, item ItemID) ([]id.ID, error) {
	out := v.Pieces
	for k, r := range v.Lists {
		part, err := openPieces(ctx, n, item, k, r)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	if want := pieces(v.Size); int64(len(out)) != want {
		return nil, fmt.Errorf("%w: %d pieces, want %d", ErrShape, len(out), want)
	}
	return out, nil
}

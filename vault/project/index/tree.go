package index

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Tree is an opened index: its root and all lines of the listing. A Tree is
// never changed; Edit makes a new one.
type Tree struct {
	root  root
	Items []Item // by id
	// Records that are in no node: all those of an index of version 1, and what
	// was changed here and not sent.
	mem map[ItemID]Record
}

// New is the index of an empty project called name.
func New(name string) *Tree { return &Tree{root: root{V: 2, Name: name}} }

// Name is the project's name.
func (t *Tree) Name() string { return t.root.Name }

// Load opens the index whose root node says plain. Errors wrap ErrShape or are
// those of n.
func Load(ctx context.Context, n Nodes, plain []byte) (*Tree, error) {
	if len(plain) > maxRoot {
		return nil, fmt.Errorf("%w: root of %d bytes, limit %d", ErrShape, len(plain), maxRoot)
	}
	t := &Tree{}
	if err := doc.Decode(plain, &t.root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	if err := t.root.check(); err != nil {
		return nil, err
	}
	parts := make([][]Item, len(t.root.List))
	err := each(len(parts), func(i int) (err error) {
		parts[i], err = openList(ctx, n, t.root.List, i)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.Items = slices.Concat(parts...)
	return t, t.check()
}

func (t *Tree) check() error {
	names := make(map[string]struct{}, len(t.Items))
	for _, it := range t.Items {
		names[it.Name] = struct{}{}
	}
	if len(names) != len(t.Items) {
		return fmt.Errorf("%w: two items have one name", ErrShape)
	}
	if t.root.Count != uint64(len(t.Items)) {
		return fmt.Errorf("%w: %d items, the root says %d", ErrShape, len(t.Items), t.root.Count)
	}
	return nil
}

// at finds item i in the listing.
func (t *Tree) at(i ItemID) (int, bool) {
	return slices.BinarySearchFunc(t.Items, i, func(it Item, i ItemID) int { return compare(it.ID, i) })
}

// Record opens the record of item i. Errors wrap ErrNotFound, ErrShape when it
// is not what the listing says, or are those of n.
func (t *Tree) Record(ctx context.Context, n Nodes, i ItemID) (Record, error) {
	if r, ok := t.mem[i]; ok {
		return r.clone(), nil
	}
	if len(t.root.Records) == 0 {
		return Record{}, fmt.Errorf("%w: %s", ErrNotFound, i)
	}
	entries, err := openRecords(ctx, n, t.root.Records, within(t.root.Records, i))
	if err != nil {
		return Record{}, err
	}
	k := slices.IndexFunc(entries, func(e entry) bool { return e.ID == i })
	if k < 0 {
		if _, listed := t.at(i); listed {
			return Record{}, fmt.Errorf("%w: item %s has no record", ErrShape, i)
		}
		return Record{}, fmt.Errorf("%w: %s", ErrNotFound, i)
	}
	r, err := entries[k].record(ctx, n)
	if err != nil {
		return r, err
	}
	return r, t.agrees(r)
}

// agrees compares a record with its line in the listing.
func (t *Tree) agrees(r Record) error {
	k, listed := t.at(r.ID)
	if listed == (r.Gone != 0) {
		return fmt.Errorf("%w: item %q is listed: %v, removed: %v", ErrShape, r.Name, listed, r.Gone != 0)
	}
	if !listed {
		return nil
	}
	a, err := doc.Encode(r.Item())
	if err != nil {
		return err
	}
	b, err := doc.Encode(t.Items[k])
	if err != nil || !bytes.Equal(a, b) {
		return fmt.Errorf("%w: the listing of %q differs from its record", ErrShape, r.Name)
	}
	return nil
}

// Records opens all records, also those of removed items. An error ends it.
func (t *Tree) Records(ctx context.Context, n Nodes) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		listed := 0
		give := func(r Record) bool {
			if r.Gone == 0 {
				listed++
			}
			return yield(r, nil)
		}
		for _, r := range t.mem {
			if !give(r.clone()) {
				return
			}
		}
		for k := range t.root.Records {
			entries, err := openRecords(ctx, n, t.root.Records, k)
			for _, e := range entries {
				if _, ok := t.mem[e.ID]; ok || err != nil {
					continue
				}
				var r Record
				if r, err = e.record(ctx, n); err == nil {
					err = t.agrees(r)
				}
				if err == nil && !give(r) {
					return
				}
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
		}
		if listed != len(t.Items) {
			yield(Record{}, fmt.Errorf("%w: %d records for %d items", ErrShape, listed, len(t.Items)))
		}
	}
}

// Blobs names every node below the root, and every piece of every version. An
// error ends it, and then it is not complete.
func (t *Tree) Blobs(ctx context.Context, n Nodes) iter.Seq2[id.ID, error] {
	return func(yield func(id.ID, error) bool) {
		for _, s := range slices.Concat(t.root.List, t.root.Records) {
			if !yield(s.Ref.ID, nil) {
				return
			}
		}
		for k := range t.root.Records {
			entries, err := openRecords(ctx, n, t.root.Records, k)
			for _, e := range entries {
				if len(e.Node) == 1 && !yield(e.Node[0].ID, nil) {
					return
				}
			}
			if err != nil {
				yield(id.ID{}, err)
				return
			}
		}
		for r, err := range t.Records(ctx, n) {
			if err != nil {
				yield(id.ID{}, err)
				return
			}
			for _, v := range r.Versions {
				if !v.blobs(ctx, n, r.ID, yield) {
					return
				}
			}
		}
	}
}

func (v Version) blobs(ctx context.Context, n Nodes, item ItemID, yield func(id.ID, error) bool) bool {
	for _, l := range v.Lists {
		if !yield(l.ID, nil) {
			return false
		}
	}
	all, err := v.PieceIDs(ctx, n, item)
	if err != nil {
		yield(id.ID{}, err)
		return false
	}
	for _, i := range all {
		if !yield(i, nil) {
			return false
		}
	}
	return true
}

// Shards names the shards of listing and records.
func (t *Tree) Shards() []id.ID {
	var out []id.ID
	for _, s := range slices.Concat(t.root.List, t.root.Records) {
		out = append(out, s.Ref.ID)
	}
	return out
}

// Oldest is the oldest epoch whose key opens a node below the root; 0 if there
// is none.
func (t *Tree) Oldest() uint32 {
	var oldest uint32
	for _, s := range slices.Concat(t.root.List, t.root.Records) {
		if e := s.Ref.Epoch; oldest == 0 || e < oldest {
			oldest = e
		}
	}
	return oldest
}

// each runs work for 0 to n-1, a few at a time, and gives the first error.
func each(n int, work func(int) error) error {
	const atOnce = 8
	var wg sync.WaitGroup
	errs := make([]error, n)
	next := make(chan int)
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := range next {
				errs[i] = work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

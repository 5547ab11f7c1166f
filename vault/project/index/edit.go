package index

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"cipherdeck/crypto/doc"
)

// Tx collects changes of an index before they are written.
type Tx struct {
	ctx     context.Context
	n       Nodes
	t       *Tree
	changed map[ItemID]Record
	names   map[string]ItemID
}

// Begin starts a change of t.
func (t *Tree) Begin(ctx context.Context, n Nodes) *Tx {
	names := make(map[string]ItemID, len(t.Items))
	for _, it := range t.Items {
		names[it.Name] = it.ID
	}
	return &Tx{ctx: ctx, n: n, t: t, changed: map[ItemID]Record{}, names: names}
}

// Named finds an item by name.
func (x *Tx) Named(name string) (ItemID, bool) {
	i, ok := x.names[name]
	return i, ok
}

// Record is the record of item i, with the changes so far.
func (x *Tx) Record(i ItemID) (Record, error) {
	if r, ok := x.changed[i]; ok {
		return r.clone(), nil
	}
	return x.t.Record(x.ctx, x.n, i)
}

// Put makes r the record of its item. Errors wrap ErrExists when another item
// has its name, or ErrField, ErrKind.
func (x *Tx) Put(r Record) error {
	if err := r.check(); err != nil {
		return err
	}
	if o, ok := x.names[r.Name]; ok && o != r.ID && r.Gone == 0 {
		return fmt.Errorf("%w: %q", ErrExists, r.Name)
	}
	if old, ok := x.changed[r.ID]; ok {
		x.unname(old.Name, r.ID)
	} else if k, ok := x.t.at(r.ID); ok {
		x.unname(x.t.Items[k].Name, r.ID)
	}
	if r.Gone == 0 {
		x.names[r.Name] = r.ID
	}
	x.changed[r.ID] = r.clone()
	return nil
}

func (x *Tx) unname(name string, i ItemID) {
	if x.names[name] == i {
		delete(x.names, name)
	}
}

// Context is the context of the change.
func (x *Tx) Context() context.Context { return x.ctx }

// Nodes is where the nodes of the index are.
func (x *Tx) Nodes() Nodes { return x.n }

// Preview is the tree with the changes, none of which is written.
func (x *Tx) Preview() *Tree {
	mem := maps.Clone(x.t.mem)
	if mem == nil {
		mem = map[ItemID]Record{}
	}
	maps.Copy(mem, x.changed)
	return &Tree{root: x.t.root, Items: x.items(x.changed), mem: mem}
}

// Commit writes the changed shards and gives the new tree and its root node,
// which is for the caller to seal and to sign.
func (x *Tx) Commit() (*Tree, []byte, error) {
	dirty := maps.Clone(x.changed)
	for i, r := range x.t.mem {
		if _, ok := dirty[i]; !ok {
			dirty[i] = r
		}
	}
	next := &Tree{root: root{V: 2, Name: x.t.root.Name}, Items: x.items(dirty)}
	next.root.Count = uint64(len(next.Items))
	ids := slices.SortedFunc(maps.Keys(dirty), compare)
	var err error
	if next.root.List, err = x.writeList(ids, next); err != nil {
		return nil, nil, err
	}
	if next.root.Records, err = x.writeRecords(ids, dirty); err != nil {
		return nil, nil, err
	}
	plain, err := doc.Encode(next.root)
	if err == nil && len(plain) > maxRoot {
		err = fmt.Errorf("%w: too many items", ErrField)
	}
	return next, plain, err
}

// items is the listing with the changes.
func (x *Tx) items(changed map[ItemID]Record) []Item {
	out := make([]Item, 0, len(x.t.Items)+len(changed))
	for _, it := range x.t.Items {
		if _, ok := changed[it.ID]; !ok {
			out = append(out, it)
		}
	}
	for _, r := range changed {
		if r.Gone == 0 {
			out = append(out, r.Item())
		}
	}
	slices.SortFunc(out, func(a, b Item) int { return compare(a.ID, b.ID) })
	return out
}

// touched are the shards that ids belong to, by place.
func touched(all []shard, ids []ItemID) map[int]bool {
	out := map[int]bool{}
	for _, i := range ids {
		out[within(all, i)] = true
	}
	return out
}

func (x *Tx) writeList(ids []ItemID, next *Tree) ([]shard, error) {
	if len(x.t.root.List) == 0 && len(next.Items) == 0 {
		return nil, nil
	}
	old := whole(x.t.root.List)
	hit := touched(old, ids)
	var out []part
	for k, s := range old {
		if !hit[k] {
			out = append(out, part{shard: s})
			continue
		}
		from, _ := next.at(s.From)
		to := len(next.Items)
		if k+1 < len(old) {
			to, _ = next.at(old[k+1].From)
		}
		parts, err := split(s.From, next.Items[from:to], func(it Item) ItemID { return it.ID })
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	return x.write("list", out)
}

func (x *Tx) writeRecords(ids []ItemID, dirty map[ItemID]Record) ([]shard, error) {
	if len(x.t.root.Records) == 0 && len(ids) == 0 {
		return nil, nil
	}
	old := whole(x.t.root.Records)
	hit := touched(old, ids)
	sealed := make([]entry, len(ids))
	err := each(len(ids), func(i int) (err error) {
		sealed[i], err = dirty[ids[i]].clone().seal(x.ctx, x.n)
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []part
	for k, s := range old {
		if !hit[k] {
			out = append(out, part{shard: s})
			continue
		}
		var entries []entry
		if len(x.t.root.Records) > 0 {
			all, err := openRecords(x.ctx, x.n, old, k)
			if err != nil {
				return nil, err
			}
			for _, e := range all {
				if _, ok := dirty[e.ID]; !ok {
					entries = append(entries, e)
				}
			}
		}
		for _, e := range sealed {
			if within(old, e.ID) == k {
				entries = append(entries, e)
			}
		}
		slices.SortFunc(entries, func(a, b entry) int { return compare(a.ID, b.ID) })
		parts, err := split(s.From, entries, func(e entry) ItemID { return e.ID })
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	return x.write("records", out)
}

// whole is all shards, of which an empty index has one that is not written yet.
func whole(all []shard) []shard {
	if len(all) == 0 {
		return []shard{{}}
	}
	return all
}

// part is a shard to write, or one that stays when it has no plaintext.
type part struct {
	shard
	plain []byte
}

// split cuts the entries of a shard that begins at from into shards that are
// not too long, of about the same size. A shard without entries goes away,
// unless it is the first.
func split[T any](from ItemID, entries []T, key func(T) ItemID) ([]part, error) {
	raw, total := make([]doc.Raw, len(entries)), 0
	for i, e := range entries {
		var err error
		if raw[i], err = doc.Encode(e); err != nil {
			return nil, err
		}
		total += len(raw[i])
	}
	if len(raw) == 0 && from != (ItemID{}) {
		return nil, nil
	}
	goal := nodeMax
	if total > nodeMax {
		goal = total/(total/(nodeMax*2/3)+1) + 1
	}
	var out []part
	for start := 0; start < len(raw) || start == 0; {
		end, size := start, 0
		for end < len(raw) && (end == start || size+len(raw[end]) <= goal) {
			size += len(raw[end])
			end++
		}
		plain, err := doc.Encode(raw[start:end])
		if err != nil {
			return nil, err
		}
		at := from
		if start > 0 {
			at = key(entries[start])
		}
		out = append(out, part{shard{From: at}, plain})
		if start = end; len(raw) == 0 {
			break
		}
	}
	return out, nil
}

func (x *Tx) write(what string, parts []part) ([]shard, error) {
	out := make([]shard, len(parts))
	return out, each(len(parts), func(i int) (err error) {
		out[i] = parts[i].shard
		if parts[i].plain != nil {
			out[i].Ref, err = x.n.Put(x.ctx, Path{What: what, At: parts[i].From}, parts[i].plain)
		}
		return err
	})
}

package project

import (
	"context"
	"fmt"
	"slices"

	"cipherdeck/vault/project/index"
)

// Op is one change of an item, as its author meant it. It is applied to the
// index as it is when it is sent, which may be another than the one he saw:
// that is what makes it safe to repeat after a conflict, and to keep for later.
type Op struct {
	Do      string   `cbor:"1,keyasint"` // one of the words below
	Item    ItemID   `cbor:"2,keyasint"`
	Time    int64    `cbor:"3,keyasint"` // Unix milliseconds
	Name    string   `cbor:"4,keyasint,omitempty"`
	Kind    Kind     `cbor:"5,keyasint,omitempty"`
	Text    string   `cbor:"6,keyasint,omitempty"`
	Tags    []string `cbor:"7,keyasint,omitempty"` // to add
	Untag   []string `cbor:"8,keyasint,omitempty"` // to take away
	Base    []uint64 `cbor:"9,keyasint,omitempty"` // versions it was made from
	Version *Version `cbor:"10,keyasint,omitempty"`
	Key     []byte   `cbor:"11,keyasint,omitempty"` // of the version, in clear
	Rev     uint64   `cbor:"12,keyasint,omitempty"` // version to keep
}

// What an Op can do.
const (
	DoAdd     = "add"
	DoVersion = "version"
	DoTag     = "tag"
	DoNote    = "note"
	DoRename  = "rename"
	DoRemove  = "remove"
	DoResolve = "resolve"
)

// Intents keeps changes that were not sent yet. Append returns when the change
// is on the disk.
type Intents interface {
	Append(Op) error
}

// Do makes one change. Offline it is kept for later, and shows at once.
func (p *Project) Do(ctx context.Context, o Op) error {
	if o.Time == 0 {
		o.Time = p.now().UnixMilli()
	}
	if p.intents == nil {
		return p.edit(ctx, func(x *index.Tx) error { return p.apply(x, o, false) })
	}
	if err := p.mayWrite(); err != nil {
		return err
	}
	x := p.index.Begin(ctx, p.nodes())
	if err := p.apply(x, o, false); err != nil {
		return damaged(err)
	}
	if err := p.intents.Append(o); err != nil {
		return err
	}
	p.index = x.Preview()
	return nil
}

// apply makes the change of o in x. It does nothing when that was done already.
// With keep, nothing that somebody made is refused: content of an item that is
// gone makes it again, and a name that is taken gets a number.
func (p *Project) apply(x *index.Tx, o Op, keep bool) error {
	r, err := x.Record(o.Item)
	missing := err != nil && isNotFound(err) || err == nil && r.Gone != 0
	if err != nil && !missing {
		return err
	}
	switch {
	case o.Do == DoAdd || o.Do == DoVersion && missing && keep:
		if !missing {
			return p.addVersion(x, r, o)
		}
		r = Record{ID: o.Item, Kind: o.Kind, Name: o.Name, Created: o.Time, Tags: o.Tags}
		if keep {
			r.Name = freeName(x, o.Name, o.Item)
		}
		if o.Text != "" {
			r.Notes = []index.Note{{Text: o.Text, By: p.uid(), Time: o.Time}}
		}
		return p.addVersion(x, r, o)
	case missing:
		return fmt.Errorf("%w: %q was removed", ErrNotFound, o.Name)
	case o.Do == DoVersion:
		return p.addVersion(x, r, o)
	case o.Do == DoResolve:
		return p.resolve(x, r, o)
	}
	if err := p.describe(x, &r, o, keep); err != nil {
		return err
	}
	return x.Put(r)
}

// describe changes what is said about an item.
func (p *Project) describe(x *index.Tx, r *Record, o Op, keep bool) error {
	switch o.Do {
	case DoTag:
		r.Tags = slices.DeleteFunc(append(r.Tags, o.Tags...), func(t string) bool { return slices.Contains(o.Untag, t) })
		slices.Sort(r.Tags)
		r.Tags = slices.Compact(r.Tags)
	case DoNote:
		n := index.Note{Text: o.Text, By: p.uid(), Time: o.Time}
		if !slices.Contains(r.Notes, n) {
			r.Notes = append(r.Notes, n)
		}
	case DoRename:
		r.Name = o.Name
		if keep {
			r.Name = freeName(x, o.Name, o.Item)
		}
	case DoRemove:
		*r = Record{ID: r.ID, Kind: r.Kind, Name: r.Name, Created: r.Created, Gone: o.Time, GoneBy: p.uid()}
	default:
		return fmt.Errorf("%w: change %q is not known", ErrField, o.Do)
	}
	return nil
}

func (p *Project) uid() string { return p.me.Account.UID.String() }

// addVersion appends the version of o, under the key of o.
func (p *Project) addVersion(x *index.Tx, r Record, o Op) error {
	if o.Version == nil || len(o.Key) != 32 {
		return fmt.Errorf("%w: change %q without content", ErrField, o.Do)
	}
	v := *o.Version
	v.By, v.Time = p.uid(), o.Time
	for _, old := range r.Versions {
		if old.By != v.By || old.Time != v.Time || old.Size != v.Size {
			continue
		}
		ids, err := old.PieceIDs(x.Context(), x.Nodes(), r.ID)
		if err != nil {
			return err
		}
		if slices.Equal(ids, v.Pieces) {
			return nil // it was sent before; only the answer was lost
		}
	}
	k, err := p.placeOfKey(&r, [32]byte(o.Key))
	if err != nil {
		return err
	}
	v.Key = k
	if p.intents == nil {
		base, _ := r.Version(0)
		if err := index.PutPieces(x.Context(), x.Nodes(), r.ID, &v, v.Pieces, base); err != nil {
			return err
		}
	}
	r.Append(v, o.Base)
	return x.Put(r)
}

// placeOfKey finds key among the keys of r, or adds it as one that was made in
// the epoch in force.
func (p *Project) placeOfKey(r *Record, key [32]byte) (uint32, error) {
	e := p.state.Epoch().Number
	for k := range r.Keys {
		if r.Keys[k].Born != e {
			continue
		}
		if old, err := p.itemKey(*r, uint32(k)); err == nil && old == key {
			return uint32(k), nil
		}
	}
	sealed, err := p.sealKey(r.ID, key, e)
	r.Keys = append(r.Keys, sealed)
	return uint32(len(r.Keys) - 1), err
}

// resolve makes version o.Rev the only newest one.
func (p *Project) resolve(x *index.Tx, r Record, o Op) error {
	heads := r.Heads()
	if len(heads) < 2 {
		return nil
	}
	v, err := r.Version(o.Rev)
	if err != nil {
		return err
	}
	v.By, v.Time, v.Message = p.uid(), o.Time, fmt.Sprintf("version %d was chosen", v.Rev)
	r.Append(v, heads)
	return x.Put(r)
}

// freeName is name, or name with the first number that makes it free.
func freeName(x *index.Tx, name string, i ItemID) string {
	free := name
	for n := 2; ; n++ {
		if o, taken := x.Named(free); !taken || o == i {
			return free
		}
		free = fmt.Sprintf("%.240s-%d", name, n)
	}
}

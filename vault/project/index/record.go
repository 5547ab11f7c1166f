package index

import (
	"fmt"
	"maps"
	"slices"

	"cipherdeck/crypto/id"
)

// Record is all there is to know about an item. One that is Gone has a name and
// nothing else: it tells who comes later with an old copy what happened.
type Record struct {
	ID       ItemID    `cbor:"1,keyasint"`
	Kind     Kind      `cbor:"2,keyasint"`
	Name     string    `cbor:"3,keyasint"`
	Created  int64     `cbor:"4,keyasint"` // Unix milliseconds
	Keys     []Key     `cbor:"5,keyasint"`
	Versions []Version `cbor:"6,keyasint"` // ascending
	Notes    []Note    `cbor:"7,keyasint,omitempty"`
	Tags     []string  `cbor:"8,keyasint,omitempty"`
	Gone     int64     `cbor:"9,keyasint,omitempty"` // Unix milliseconds of the removal
	GoneBy   string    `cbor:"10,keyasint,omitempty"`
}

// Key is a key of an item. Born is the epoch in which it was made: its members
// may have kept it. Epoch is the one whose key seals it now.
type Key struct {
	_      struct{} `cbor:",toarray"`
	Born   uint32
	Epoch  uint32
	Sealed []byte
}

// Version is the content of an item at one time. Parents are the versions that
// it replaces: two that do not replace each other were made at the same time.
type Version struct {
	Rev     uint64   `cbor:"1,keyasint"`
	Parents []uint64 `cbor:"2,keyasint,omitempty"`
	By      string   `cbor:"3,keyasint"`
	Time    int64    `cbor:"4,keyasint"` // Unix milliseconds
	Size    int64    `cbor:"5,keyasint"`
	Key     uint32   `cbor:"6,keyasint"`           // place in Record.Keys
	Pieces  []id.ID  `cbor:"7,keyasint,omitempty"` // when they are few
	Lists   []Ref    `cbor:"8,keyasint,omitempty"` // nodes that hold them, when they are many
	Message string   `cbor:"9,keyasint,omitempty"`
	Columns []Column `cbor:"10,keyasint,omitempty"` // of a dataset
	Rows    int64    `cbor:"11,keyasint,omitempty"`
	Meta    []Pair   `cbor:"12,keyasint,omitempty"` // ascending by key
}

// Column is a column of a dataset. Type is "number" or "" if nobody said.
type Column struct {
	_    struct{} `cbor:",toarray"`
	Name string
	Type string
}

// Pair is a fact about a version: what it was trained on, its licence.
type Pair struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value string
}

// Note is a text about an item. The last one counts; the others are history.
type Note struct {
	_    struct{} `cbor:",toarray"`
	Text string
	By   string
	Time int64
}

// Ref names a sealed node and the epoch whose key opens it.
type Ref struct {
	_     struct{} `cbor:",toarray"`
	ID    id.ID
	Epoch uint32
}

const (
	maxVersions = 1 << 14
	maxMeta     = 256
	maxText     = 4 << 10
	maxSealed   = 256 // bytes of a sealed key
)

// Version finds version rev; 0 is the newest.
func (r Record) Version(rev uint64) (Version, error) {
	if rev == 0 && len(r.Versions) > 0 {
		return r.Versions[len(r.Versions)-1], nil
	}
	i := slices.IndexFunc(r.Versions, func(v Version) bool { return v.Rev == rev })
	if i < 0 {
		return Version{}, fmt.Errorf("%w: version %d of %q", ErrNotFound, rev, r.Name)
	}
	return r.Versions[i], nil
}

// Heads are the versions that no other one replaces, ascending.
func (r Record) Heads() []uint64 {
	old := map[uint64]bool{}
	for _, v := range r.Versions {
		for _, p := range v.Parents {
			old[p] = true
		}
	}
	var out []uint64
	for _, v := range r.Versions {
		if !old[v.Rev] {
			out = append(out, v.Rev)
		}
	}
	return out
}

// Note is the text that counts now.
func (r Record) Note() string {
	if len(r.Notes) == 0 {
		return ""
	}
	return r.Notes[len(r.Notes)-1].Text
}

// Append adds v as the newest version, made from the versions base: those of
// them that are still there become its parents.
func (r *Record) Append(v Version, base []uint64) {
	v.Rev, v.Parents = 1, nil
	if n := len(r.Versions); n > 0 {
		v.Rev = r.Versions[n-1].Rev + 1
	}
	for _, b := range base {
		if _, err := r.Version(b); b != 0 && err == nil {
			v.Parents = append(v.Parents, b)
		}
	}
	slices.Sort(v.Parents)
	v.Parents = slices.Compact(v.Parents)
	r.Versions = append(r.Versions, v)
}

// DropKeys forgets keys that no version uses.
func (r *Record) DropKeys() {
	var keys []Key
	place := map[uint32]uint32{}
	for i := range r.Versions {
		k := r.Versions[i].Key
		if _, ok := place[k]; !ok {
			place[k] = uint32(len(keys))
			keys = append(keys, r.Keys[k])
		}
		r.Versions[i].Key = place[k]
	}
	r.Keys = keys
}

// Item is the line of a record in a listing.
func (r Record) Item() Item {
	v, _ := r.Version(0)
	it := Item{ID: r.ID, Kind: r.Kind, Name: r.Name, Size: v.Size, Created: r.Created, Modified: v.Time, By: v.By, Rev: v.Rev,
		Heads: uint32(len(r.Heads())), Rows: v.Rows, Columns: uint32(len(v.Columns)), Tags: r.Tags}
	held := map[uint32]*Held{}
	for _, v := range r.Versions {
		k := r.Keys[v.Key]
		if held[k.Born] == nil {
			held[k.Born] = &Held{Born: k.Born}
		}
		held[k.Born].Versions++
		held[k.Born].Bytes += v.Size
		if it.Epoch == 0 || k.Epoch < it.Epoch {
			it.Epoch = k.Epoch
		}
	}
	for _, e := range slices.Sorted(maps.Keys(held)) {
		it.Held = append(it.Held, *held[e])
	}
	return it
}

// clone is a copy whose slices of the first level can be changed.
func (r Record) clone() Record {
	r.Keys, r.Versions = slices.Clone(r.Keys), slices.Clone(r.Versions)
	r.Notes, r.Tags = slices.Clone(r.Notes), slices.Clone(r.Tags)
	return r
}

// check holds what another member wrote to the rules of a record.
func (r Record) check() error {
	if err := CheckMeta(r.Kind, r.Name); err != nil {
		return err
	}
	if r.Gone != 0 {
		if len(r.Keys)+len(r.Versions)+len(r.Notes)+len(r.Tags) != 0 {
			return fmt.Errorf("item %q was removed and has content", r.Name)
		}
		return nil
	}
	if len(r.Versions) == 0 || len(r.Versions) > maxVersions {
		return fmt.Errorf("item %q has %d versions", r.Name, len(r.Versions))
	}
	for _, n := range r.Notes {
		if len(n.Text) > MaxNote {
			return fmt.Errorf("%w: note of %d bytes, limit %d", ErrField, len(n.Text), MaxNote)
		}
	}
	for _, k := range r.Keys {
		if k.Born == 0 || k.Epoch < k.Born || len(k.Sealed) == 0 || len(k.Sealed) > maxSealed {
			return fmt.Errorf("item %q: key of epoch %d sealed under epoch %d", r.Name, k.Born, k.Epoch)
		}
	}
	for i, v := range r.Versions {
		if err := v.check(); err != nil {
			return fmt.Errorf("item %q, version %d: %w", r.Name, v.Rev, err)
		}
		if i > 0 && r.Versions[i-1].Rev >= v.Rev || v.Rev == 0 || int(v.Key) >= len(r.Keys) {
			return fmt.Errorf("item %q: version %d out of place", r.Name, v.Rev)
		}
		for _, p := range v.Parents {
			if p >= v.Rev {
				return fmt.Errorf("item %q: version %d replaces version %d", r.Name, v.Rev, p)
			}
		}
	}
	return CheckTags(r.Tags)
}

func (v Version) check() error {
	if v.Size < 0 || v.Size > maxSize || v.Rows < 0 || len(v.By) > 64 {
		return fmt.Errorf("%w: %d bytes, %d rows", ErrField, v.Size, v.Rows)
	}
	want := pieces(v.Size)
	switch {
	case len(v.Lists) == 0 && int64(len(v.Pieces)) != want:
		return fmt.Errorf("%w: %d bytes in %d pieces", ErrField, v.Size, len(v.Pieces))
	case len(v.Lists) > 0 && (len(v.Pieces) > 0 || int64(len(v.Lists)) != (want+listLen-1)/listLen):
		return fmt.Errorf("%w: %d bytes in %d lists of pieces", ErrField, v.Size, len(v.Lists))
	case len(v.Message) > maxText || len(v.Columns) > 1<<14 || len(v.Meta) > maxMeta:
		return fmt.Errorf("%w: %d columns, %d facts", ErrField, len(v.Columns), len(v.Meta))
	}
	for i, m := range v.Meta {
		if m.Key == "" || len(m.Key) > MaxTag || len(m.Value) > maxText || i > 0 && v.Meta[i-1].Key >= m.Key {
			return fmt.Errorf("%w: fact %q", ErrField, m.Key)
		}
	}
	return nil
}

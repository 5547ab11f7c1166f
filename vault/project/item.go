package project

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/project/index"
)

// What an index says; package index has the words.
type (
	Item    = index.Item
	ItemID  = index.ItemID
	Record  = index.Record
	Version = index.Version
	Column  = index.Column
	Pair    = index.Pair
	Kind    = index.Kind
	Held    = index.Held
)

// The kinds of item.
const (
	Dataset  = index.Dataset
	Model    = index.Model
	Task     = index.Task
	Artifact = index.Artifact
	Run      = index.Run
)

// PieceSize is the most plaintext bytes in one piece.
const PieceSize = index.PieceSize

const maxPieceBlob = PieceSize + PieceSize/64

// Meta is what somebody says about content that he adds.
type Meta struct {
	Kind    Kind
	Name    string
	Message string // why this version
	Columns []Column
	Rows    int64
	Facts   []Pair // ascending by key
	Tags    []string
	Note    string
}

// CheckMeta holds kind, name and tags of new content to the rules.
func CheckMeta(m Meta) error {
	if err := index.CheckMeta(m.Kind, m.Name); err != nil {
		return err
	}
	return index.CheckTags(slices.Compact(slices.Sorted(slices.Values(m.Tags))))
}

// Items lists the items, in the order in which they were added.
func (p *Project) Items() []Item {
	at := make([]*Item, len(p.index.Items)) // an Item is long to move about
	for k := range at {
		at[k] = &p.index.Items[k]
	}
	slices.SortFunc(at, func(a, b *Item) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), strings.Compare(a.Name, b.Name))
	})
	out := make([]Item, len(at))
	for k, it := range at {
		out[k] = *it
	}
	return out
}

// Item finds an item by name. The error wraps ErrNotFound.
func (p *Project) Item(name string) (Item, error) {
	i := slices.IndexFunc(p.index.Items, func(it Item) bool { return it.Name == name })
	if i < 0 {
		return Item{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	return p.index.Items[i], nil
}

// Record is all there is to know about an item: its versions, notes and tags.
func (p *Project) Record(ctx context.Context, i ItemID) (Record, error) {
	r, err := p.index.Record(ctx, p.nodes(), i)
	return r, damaged(err)
}

// PieceIDs names the pieces of the newest version of an item.
func (p *Project) PieceIDs(ctx context.Context, it Item) ([]id.ID, error) {
	r, err := p.Record(ctx, it.ID)
	if err != nil {
		return nil, err
	}
	v, err := r.Version(0)
	if err != nil {
		return nil, err
	}
	ids, err := v.PieceIDs(ctx, p.nodes(), it.ID)
	return ids, damaged(err)
}

// itemKey opens key k of an item.
func (p *Project) itemKey(r Record, k uint32) ([32]byte, error) {
	key := r.Keys[k]
	ek, err := p.keys.key(key.Epoch)
	if err != nil {
		return [32]byte{}, fmt.Errorf("item %q: %w", r.Name, err)
	}
	b, err := openSmall(ek, "item", label("item", p.state.Nonce, key.Epoch, r.ID[:]), key.Sealed)
	if err != nil || len(b) != 32 {
		return [32]byte{}, fmt.Errorf("%w: key of item %q", ErrDamaged, r.Name)
	}
	return [32]byte(b), nil
}

// sealKey seals an item key, made in epoch born, under the epoch in force.
func (p *Project) sealKey(i ItemID, key [32]byte, born uint32) (index.Key, error) {
	e := p.state.Epoch().Number
	ek, err := p.keys.key(e)
	if err != nil {
		return index.Key{}, err
	}
	sealed, err := sealSmall(ek, "item", label("item", p.state.Nonce, e, i[:]), key[:])
	return index.Key{Born: born, Epoch: e, Sealed: sealed}, err
}

// pieceOverhead is what a sealed piece has beside its plaintext.
func pieceOverhead() int { return int(cobblestone.SealedSize(PieceSize)) - PieceSize }

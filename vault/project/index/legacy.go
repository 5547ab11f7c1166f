package index

import (
	"fmt"
	"slices"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// first is the index of version 1: everything in one blob, one version an item.
type first struct {
	V     uint8       `cbor:"1,keyasint"`
	Name  string      `cbor:"2,keyasint"`
	Items []firstItem `cbor:"3,keyasint"`
}

type firstItem struct {
	ID      ItemID   `cbor:"1,keyasint"`
	Kind    Kind     `cbor:"2,keyasint"`
	Name    string   `cbor:"3,keyasint"`
	Size    int64    `cbor:"4,keyasint"`
	Added   int64    `cbor:"5,keyasint"`
	By      string   `cbor:"6,keyasint"`
	Epoch   uint32   `cbor:"7,keyasint"`
	Key     []byte   `cbor:"8,keyasint"`
	Pieces  []id.ID  `cbor:"9,keyasint"`
	Columns []string `cbor:"10,keyasint"`
	Rows    int64    `cbor:"11,keyasint"`
	Note    string   `cbor:"12,keyasint"`
}

// LoadV1 reads an index of version 1. Its records are kept in memory, and the
// next change writes all of it as version 2.
func LoadV1(plain []byte) (*Tree, error) {
	var f first
	if err := doc.Decode(plain, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	if f.V != 1 {
		return nil, fmt.Errorf("%w: version %d, want 1", ErrShape, f.V)
	}
	t := &Tree{root: root{V: 2, Name: f.Name, Count: uint64(len(f.Items))}, mem: make(map[ItemID]Record, len(f.Items))}
	for _, it := range f.Items {
		r := it.record()
		if len(r.Versions[0].Pieces) != int(pieces(it.Size)) || it.Size < 0 || it.Size > maxSize {
			return nil, fmt.Errorf("%w: item %q: %d bytes in %d pieces", ErrShape, it.Name, it.Size, len(it.Pieces))
		}
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShape, err)
		}
		if _, ok := t.mem[r.ID]; ok {
			return nil, fmt.Errorf("%w: two items have one id", ErrShape)
		}
		t.mem[r.ID] = r
		t.Items = append(t.Items, r.Item())
	}
	slices.SortFunc(t.Items, func(a, b Item) int { return compare(a.ID, b.ID) })
	return t, t.check()
}

func (f firstItem) record() Record {
	v := Version{Rev: 1, By: f.By, Time: f.Added, Size: f.Size, Pieces: f.Pieces, Rows: f.Rows}
	for _, c := range f.Columns {
		v.Columns = append(v.Columns, Column{Name: c, Type: "number"})
	}
	r := Record{ID: f.ID, Kind: f.Kind, Name: f.Name, Created: f.Added, Keys: []Key{{Born: f.Epoch, Epoch: f.Epoch, Sealed: f.Key}}, Versions: []Version{v}}
	if f.Note != "" {
		r.Notes = []Note{{Text: f.Note, By: f.By, Time: f.Added}}
	}
	return r
}

package project

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project/index"
)

// oldIndex and oldItem are the index of version 1, as it was written.
type oldIndex struct {
	V     uint8     `cbor:"1,keyasint"`
	Name  string    `cbor:"2,keyasint"`
	Items []oldItem `cbor:"3,keyasint"`
}

type oldItem struct {
	ID      [16]byte `cbor:"1,keyasint"`
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

// sealOld is the blob of an index of version 1.
func sealOld(t *testing.T, p *Project, x oldIndex) []byte {
	t.Helper()
	plain, err := doc.Encode(x)
	if err != nil {
		t.Fatal(err)
	}
	framed := binary.BigEndian.AppendUint32(nil, uint32(len(plain)))
	framed = append(framed, plain...)
	framed = append(framed, make([]byte, index.Padme(int64(len(framed)))-int64(len(framed)))...)
	e := p.state.Epoch().Number
	key, err := p.keys.key(e)
	if err != nil {
		t.Fatal(err)
	}
	ct, err := sealSmall(key, "index", label("index", p.state.Nonce, e), framed)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, e), ct...)
}

// oldAdd adds an item as version 1 did: random salts, all pieces in the index.
func oldAdd(t *testing.T, p *Project, name string, body []byte, pieces int) oldItem {
	t.Helper()
	it := oldItem{ID: [16]byte{byte(len(name)), name[0]}, Kind: Dataset, Name: name, Size: int64(len(body)), Added: 1700000000000,
		By: p.uid(), Epoch: p.state.Epoch().Number, Columns: []string{"a", "b"}, Rows: 1, Note: "as it was"}
	key := [32]byte{7}
	k, err := p.sealKey(ItemID(it.ID), key, it.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	it.Key = k.Sealed
	padded := append(bytes.Clone(body), make([]byte, index.Padme(it.Size)-it.Size)...)
	for n := 0; len(padded) > 0; n++ {
		part := padded[:min(PieceSize, len(padded))]
		padded = padded[len(part):]
		blob, err := cobblestone.Seal(key, pieceContext(ItemID(it.ID), n), part)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.putBytes(t.Context(), blob); err != nil {
			t.Fatal(err)
		}
		it.Pieces = append(it.Pieces, id.Of(blob))
	}
	return it
}

// An index of version 1 is read, and is one of version 2 after the next change.
func TestIndexOfVersion1(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	big := bytes.Repeat([]byte("0123456789abcdef"), 66*PieceSize/16)
	x := oldIndex{V: 1, Name: "ward 7", Items: []oldItem{oldAdd(t, p, "small.csv", []byte("a,b\n1,2\n"), 1), oldAdd(t, p, "big", big, 66)}}
	put(t, p, sealOld(t, p, x))
	q, err := open(t, s, alice, p.ID(), Seen{})
	if err != nil || q.Damage() != nil {
		t.Fatal(err, q.Damage())
	}
	want := func(q *Project, items int) {
		t.Helper()
		if len(q.Items()) != items || q.Name() != "ward 7" {
			t.Fatalf("%d items of %q", len(q.Items()), q.Name())
		}
		if got, err := read(t, q, "small.csv"); err != nil || string(got) != "a,b\n1,2\n" {
			t.Fatalf("%q %v", got, err)
		}
		if got, err := read(t, q, "big"); err != nil || !bytes.Equal(got, big) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		it, _ := q.Item("small.csv")
		r, err := q.Record(t.Context(), it.ID)
		if err != nil || r.Note() != "as it was" || len(r.Versions) != 1 || r.Versions[0].Columns[1].Name != "b" {
			t.Fatalf("%+v %v", r, err)
		}
	}
	want(q, 2)
	add(t, q, "new.csv", []byte("3"))
	want(q, 3)
	if q, err = open(t, s, alice, p.ID(), Seen{}); err != nil || q.Damage() != nil {
		t.Fatal(err, q.Damage())
	}
	want(q, 3)
	sweep(t, s, q)
	if q, err = open(t, s, alice, p.ID(), Seen{}); err != nil {
		t.Fatal(err)
	}
	want(q, 3)
	if _, err := openIndex(q.state.Nonce, ring{}, s.blobs[q.state.Index]); !errors.Is(err, ErrNoKey) {
		t.Fatal(err)
	}
	_, err = q.Update(t.Context(), Meta{Kind: Dataset, Name: "big"}, bytes.NewReader(big), progress.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	want(q, 3)
}

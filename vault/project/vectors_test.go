package project

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project/index"
)

var updateVectors = flag.Bool("update-vectors", false, "write testdata anew: only for a new version of the format")

// vectors are indexes as they were written once: keys of epochs, blobs, and
// what they say. They hold the format; whoever writes another reader starts here.
type vectors struct {
	Nonce  string            `json:"nonce"`
	Epochs map[uint32]string `json:"epoch_keys"`
	Roots  map[string]id.ID  `json:"roots"`
	Blobs  map[id.ID]string  `json:"blobs"`
	Says   map[string]string `json:"says"`      // CBOR of the records, in the order of ids
	Plain  map[string]string `json:"plaintext"` // name to content of the newest version
}

const vectorFile = "testdata/index-v2.json"

// quarry is a server that has blobs and nothing else.
type quarry map[id.ID][]byte

func (q quarry) Head(context.Context, string) ([]byte, uint64, error)        { return nil, 0, ErrDamaged }
func (q quarry) CAS(context.Context, string, []byte, uint64) (uint64, error) { return 0, ErrDamaged }
func (q quarry) Have(_ context.Context, ids []id.ID) ([]bool, error) {
	return make([]bool, len(ids)), nil
}
func (q quarry) PutBlob(_ context.Context, i id.ID, _ int64, r io.Reader) (err error) {
	q[i], err = io.ReadAll(r)
	return err
}
func (q quarry) GetBlob(_ context.Context, i id.ID, _, _ int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(q[i])), nil
}

func (v vectors) nodes(t *testing.T) nodes {
	t.Helper()
	n := nodes{srv: quarry{}, keys: ring{}, epoch: 2}
	nonce, err := hex.DecodeString(v.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	n.nonce = [32]byte(nonce)
	for e, k := range v.Epochs {
		b, err := hex.DecodeString(k)
		if err != nil {
			t.Fatal(err)
		}
		n.keys[e] = [32]byte(b)
	}
	for i, b := range v.Blobs {
		raw, err := hex.DecodeString(b)
		if err != nil {
			t.Fatal(err)
		}
		if id.Of(raw) != i {
			t.Fatalf("blob %s has another hash", i)
		}
		n.srv.(quarry)[i] = raw
	}
	return n
}

func TestIndexVectors(t *testing.T) {
	if *updateVectors {
		writeVectors(t)
	}
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	n := v.nodes(t)
	for name, root := range v.Roots {
		r, err := openIndex(n.nonce, n.keys, n.srv.(quarry)[root])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var tree *index.Tree
		if r.first {
			tree, err = index.LoadV1(r.plain)
		} else {
			tree, err = index.Load(t.Context(), n, r.plain)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := says(t, tree, n); got != v.Says[name] {
			t.Errorf("%s says\n%s\nwant\n%s", name, got, v.Says[name])
		}
		for _, it := range tree.Items {
			r, err := tree.Record(t.Context(), n, it.ID)
			if err != nil {
				t.Fatal(err)
			}
			if want, ok := v.Plain[name+"/"+it.Name]; ok && plainOf(t, n, r) != want {
				t.Errorf("%s: content of %s differs", name, it.Name)
			}
		}
	}
	if len(v.Roots) != 2 {
		t.Fatalf("%d roots", len(v.Roots))
	}
}

// says is the CBOR of all records, in the order of their ids.
func says(t *testing.T, tree *index.Tree, n nodes) string {
	t.Helper()
	var all []Record
	for _, it := range tree.Items {
		r, err := tree.Record(t.Context(), n, it.ID)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	b, err := doc.Encode(all)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// plainOf decrypts the newest version of r, with the keys alone.
func plainOf(t *testing.T, n nodes, r Record) string {
	t.Helper()
	v, err := r.Version(0)
	if err != nil {
		t.Fatal(err)
	}
	k := r.Keys[v.Key]
	key, err := openSmall(n.keys[k.Epoch], "item", label("item", n.nonce, k.Epoch, r.ID[:]), k.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := v.PieceIDs(t.Context(), n, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for k, i := range ids {
		plain, err := cobblestone.Open([32]byte(key), pieceContext(r.ID, k), n.srv.(quarry)[i])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, plain...)
	}
	return string(out[:v.Size])
}

// writeVectors makes a project of two epochs with the real program, and keeps
// what a server has of it.
func writeVectors(t *testing.T) {
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	v := vectors{Nonce: hex.EncodeToString(p.state.Nonce[:]), Epochs: map[uint32]string{}, Roots: map[string]id.ID{}, Blobs: map[id.ID]string{}, Says: map[string]string{}, Plain: map[string]string{}}
	old := sealOld(t, p, oldIndex{V: 1, Name: "ward 7", Items: []oldItem{oldAdd(t, p, "old.csv", []byte("a,b\n1,2\n"), 1)}})
	put(t, p, old)
	v.Roots["version 1"] = p.state.Index
	if err := p.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.Says["version 1"], v.Plain["version 1/old.csv"] = says(t, p.index, p.nodes()), "a,b\n1,2\n"
	m := Meta{Kind: Dataset, Name: "table.csv", Message: "as it came", Columns: []Column{{Name: "a", Type: "number"}}, Rows: 1, Facts: []Pair{{Key: "source", Value: "ward"}}, Tags: []string{"raw"}, Note: "a note"}
	if _, err := p.Add(t.Context(), m, bytes.NewReader([]byte("a\n1\n")), progress.Discard{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Remove(t.Context(), bob.Account.UID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Update(t.Context(), m, bytes.NewReader([]byte("a\n2\n")), progress.Discard{}); err != nil {
		t.Fatal(err)
	}
	it := add(t, p, "noted", []byte("n"))
	if err := p.Do(t.Context(), Op{Do: DoNote, Item: it.ID, Text: string(bytes.Repeat([]byte("long "), 2000))}); err != nil {
		t.Fatal(err)
	}
	gone := add(t, p, "gone", []byte("g"))
	if err := p.Do(t.Context(), Op{Do: DoRemove, Item: gone.ID}); err != nil {
		t.Fatal(err)
	}
	v.Roots["version 2"] = p.state.Index
	v.Says["version 2"] = says(t, p.index, p.nodes())
	v.Plain["version 2/table.csv"], v.Plain["version 2/noted"], v.Plain["version 2/old.csv"] = "a\n2\n", "n", "a,b\n1,2\n"
	for e, k := range p.keys {
		v.Epochs[e] = hex.EncodeToString(k[:])
	}
	v.Blobs[id.Of(old)] = hex.EncodeToString(old)
	for i, err := range p.LiveBlobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		v.Blobs[i] = hex.EncodeToString(s.blobs[i])
	}
	for _, i := range append(p.heads, p.state.Epochs[0].Wraps, p.state.Epochs[1].Wraps) {
		delete(v.Blobs, i) // the chain has vectors of its own
	}
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Println("wrote", vectorFile, len(raw))
}

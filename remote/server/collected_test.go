package server_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// leaves waits until the journal has n leaves of an action about the project.
func (c *collector) leaves(t *testing.T, action string, n int) []tlog.Leaf {
	t.Helper()
	pid := c.p.ID()
	for {
		r, err := c.client.Object(t.Context(), tlog.Tag(tlog.KindProject, pid[:]), 0)
		if err != nil {
			t.Fatal(err)
		}
		var all []tlog.Leaf
		for _, p := range r.Proofs {
			l, err := tlog.OpenLeaf(p.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			if l.Action == action {
				all = append(all, l)
			}
		}
		if len(all) >= n {
			return all
		}
	}
}

func (c *collector) body(t *testing.T, l tlog.Leaf) []byte {
	t.Helper()
	name := hex.EncodeToString(l.Doc[:])
	raw, err := os.ReadFile(filepath.Join(c.cfg.DataDir, "journal", "bodies", name[:2], name[2:]))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestCollectionIsInTheJournal looks there for who said what is needed, and for
// what was deleted by it; a dry run leaves nothing there, and a comparison of
// store and journal takes none of it for a link of the project.
func TestCollectionIsInTheJournal(t *testing.T) {
	c := newCollector(t)
	kept, dead := c.p.Put(t, []byte("kept")), c.p.Put(t, []byte("dead"))
	c.collect(t, true, kept)
	c.collect(t, false, kept)
	c.clock.pass(grace + time.Hour)
	word := c.live(t, kept)
	if r, err := c.p.Collect(t.Context(), word, false); err != nil || r.Deleted == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	words := c.leaves(t, tlog.ActLive, 2)
	if l := words[len(words)-1]; len(words) != 2 || l.Doc != tlog.DocTag(word) || l.Seq != c.p.State.Seq || len(l.Actor) == 0 || string(c.body(t, l)) != string(word) {
		t.Errorf("the owner's word: %+v", words)
	}
	gone := c.leaves(t, tlog.ActCollected, 1)
	var got struct {
		V       uint8   `cbor:"1,keyasint"`
		Project id.ID   `cbor:"2,keyasint"`
		Live    id.ID   `cbor:"3,keyasint"`
		Time    int64   `cbor:"4,keyasint"`
		Blobs   []id.ID `cbor:"5,keyasint"`
	}
	if err := doc.Decode(c.body(t, gone[0]), &got); err != nil {
		t.Fatal(err)
	}
	if len(gone) != 1 || got.V != 1 || got.Project != c.p.ID() || got.Live != id.Of(word) || got.Time != c.clock.now().UnixMilli() ||
		!slices.Contains(got.Blobs, dead) || slices.Contains(got.Blobs, kept) || len(gone[0].Actor) != 0 {
		t.Errorf("what was deleted: %+v, %+v", gone, got)
	}
	rep, err := c.srv.Reconcile(t.Context(), true)
	if err != nil || rep.Restored+rep.Recorded+len(rep.Lost) != 0 {
		t.Errorf("compared: %+v, %v", rep, err)
	}
	c.want(t, "after the comparison", false, dead, id.Of(word))
}

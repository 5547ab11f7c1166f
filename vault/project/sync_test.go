package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/account"
)

// store is a cache and an outbox in memory.
type store struct {
	mu sync.Mutex
	m  map[id.ID][]byte
}

func newKept() *store { return &store{m: map[id.ID][]byte{}} }

func (k *store) Get(i id.ID) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, ok := k.m[i]
	return b, ok
}

func (k *store) Has(i id.ID) bool { _, ok := k.Get(i); return ok }

func (k *store) Put(i id.ID, b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m[i] = bytes.Clone(b)
}

func (k *store) IDs() ([]id.ID, error) {
	var out []id.ID
	for i := range k.m {
		out = append(out, i)
	}
	return out, nil
}

type oplog struct{ ops []Op }

func (l *oplog) Append(o Op) error { l.ops = append(l.ops, o); return nil }

// away opens p's project without its server.
func away(t *testing.T, s *shelf, me *account.Me, pid id.ID, c *store) (*Project, *store, *oplog) {
	t.Helper()
	on, err := Open(t.Context(), Cached(s, c), me, pid, Seen{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := on.Prefetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, log := newKept(), &oplog{}
	p, err := Open(t.Context(), Local(on.Seen().Head, c, out), me, pid, on.Seen(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.KeepIntents(t.Context(), log, nil); err != nil {
		t.Fatal(err)
	}
	return p, out, log
}

func nothing(uint32) error { return nil }

// failing is a server whose n-th call of any kind fails, after it did its work
// or before.
type failing struct {
	*shelf
	left  int
	after bool
}

func (f *failing) step(do func() error) error {
	f.left--
	if f.left != 0 {
		return do()
	}
	if f.after {
		_ = do()
	}
	return errCut
}

func (f *failing) CAS(ctx context.Context, key string, body []byte, prev uint64) (rev uint64, err error) {
	err = f.step(func() error { rev, err = f.shelf.CAS(ctx, key, body, prev); return err })
	return rev, err
}

func (f *failing) PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error {
	return f.step(func() error { return f.shelf.PutBlob(ctx, i, n, r) })
}

// Whatever call is the last one before the process is killed, another sync does
// the rest, and nothing twice.
func TestSyncCutAnywhere(t *testing.T) {
	alice := person(t, "alice")
	finished := false
	for n := 1; !finished; n++ {
		for _, after := range []bool{false, true} {
			s, c := newShelf(), newKept()
			p := create(t, s, alice)
			it := add(t, p, "a", []byte("one"))
			off, out, log := away(t, s, alice, p.ID(), c)
			do := func(o Op) {
				if err := off.Do(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			update(t, off, "a", []byte("two"))
			add(t, off, "b", []byte("new"))
			do(Op{Do: DoTag, Item: it.ID, Name: "a", Tags: []string{"x"}})
			do(Op{Do: DoNote, Item: it.ID, Name: "a", Text: "said"})
			do(Op{Do: DoRename, Item: it.ID, Name: "c"})
			if got, err := read(t, off, "b"); err != nil || string(got) != "new" {
				t.Fatalf("offline: %q %v", got, err)
			}
			f := &failing{shelf: s, left: n, after: after}
			on, err := Open(t.Context(), f, alice, p.ID(), Seen{}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			_, err = on.Sync(t.Context(), log.ops, out, nothing, progress.Discard{})
			finished = err == nil
			if on, err = open(t, s, alice, p.ID(), Seen{}); err != nil {
				t.Fatal(err)
			}
			if _, err := on.Sync(t.Context(), log.ops, out, nothing, progress.Discard{}); err != nil {
				t.Fatalf("cut at call %d: %v", n, err)
			}
			if on, err = open(t, s, alice, p.ID(), Seen{}); err != nil {
				t.Fatal(err)
			}
			r, err := on.Record(t.Context(), it.ID)
			if err != nil || len(r.Versions) != 2 || len(r.Notes) != 1 || len(r.Tags) != 1 || r.Name != "c" || len(on.Items()) != 2 {
				t.Fatalf("cut at call %d: %+v %v", n, r, err)
			}
			for name, want := range map[string]string{"c": "two", "b": "new"} {
				if got, err := read(t, on, name); err != nil || string(got) != want {
					t.Fatalf("cut at call %d: %s is %q, %v", n, name, got, err)
				}
			}
		}
	}
}

// Others worked meanwhile: both versions stay, and a taken name gets a number.
func TestSyncKeepsBoth(t *testing.T) {
	s, alice, c := newShelf(), person(t, "alice"), newKept()
	p := create(t, s, alice)
	it := add(t, p, "a", []byte("one"))
	gone := add(t, p, "gone", []byte("g"))
	off, out, log := away(t, s, alice, p.ID(), c)
	update(t, off, "a", []byte("offline"))
	update(t, off, "gone", []byte("changed offline"))
	add(t, off, "new", []byte("offline"))
	if err := off.Do(t.Context(), Op{Do: DoTag, Item: gone.ID, Name: "gone", Tags: []string{"t"}}); err != nil {
		t.Fatal(err)
	}
	update(t, p, "a", []byte("online"))
	add(t, p, "new", []byte("online"))
	if err := p.Do(t.Context(), Op{Do: DoRemove, Item: gone.ID}); err != nil {
		t.Fatal(err)
	}
	done, err := p.Sync(t.Context(), log.ops, out, nothing, progress.Discard{})
	if err != nil || len(done) != 4 || done[0].Note == "" || done[2].Note == "" {
		t.Fatalf("%+v %v", done, err)
	}
	for name, want := range map[string]string{"a": "offline", "new": "online", "new-2": "offline", "gone": "changed offline"} {
		if got, err := read(t, p, name); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	got, _ := p.Item("a")
	if got.Heads != 2 {
		t.Fatalf("%d heads", got.Heads)
	}
	if err := p.Do(t.Context(), Op{Do: DoResolve, Item: it.ID, Name: "a", Rev: 2}); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, p, "a"); err != nil || string(got) != "online" {
		t.Fatalf("%q %v", got, err)
	}
	if got, _ := p.Item("a"); got.Heads != 1 || got.Rev != 4 {
		t.Fatalf("%+v", got)
	}
}

// A key that went out under an epoch that ended is not used any more.
func TestSyncAfterAnEpochEnded(t *testing.T) {
	s, alice, bob, c := newShelf(), person(t, "alice"), person(t, "bob"), newKept()
	p := create(t, s, alice)
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	off, out, log := away(t, s, alice, p.ID(), c)
	add(t, off, "a", patterned(3*PieceSize))
	// The key goes out in a node, and before the link is signed bob is removed.
	other, err := open(t, s, alice, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	s.race = func() {
		if _, err := other.Remove(t.Context(), bob.Account.UID); err != nil {
			t.Error(err)
		}
	}
	if _, err := p.Sync(t.Context(), log.ops, out, nothing, progress.Discard{}); !errors.Is(err, ErrEpoch) {
		t.Fatal(err)
	}
	o, err := Rekey(log.ops[0], out)
	if err != nil || bytes.Equal(o.Key, log.ops[0].Key) {
		t.Fatal(err)
	}
	if _, err := p.Sync(t.Context(), []Op{o}, out, nothing, progress.Discard{}); err != nil {
		t.Fatal(err)
	}
	it, err := p.Item("a")
	if err != nil || it.Born() != 2 {
		t.Fatalf("%+v %v", it, err)
	}
	if got, err := read(t, p, "a"); err != nil || !bytes.Equal(got, patterned(3*PieceSize)) {
		t.Fatal(len(got), err)
	}
	var b bytes.Buffer
	if err := WriteContent(o, out, &b); err != nil || !bytes.Equal(b.Bytes(), patterned(3*PieceSize)) {
		t.Fatal(b.Len(), err)
	}
}

// What is not on this machine is said, and nothing is taken from a cache that
// was changed.
func TestAwayWithoutWhatIsNeeded(t *testing.T) {
	s, alice, c := newShelf(), person(t, "alice"), newKept()
	p := create(t, s, alice)
	add(t, p, "a", []byte("one"))
	off, _, _ := away(t, s, alice, p.ID(), c)
	if _, err := read(t, off, "a"); !errors.Is(err, ErrOffline) {
		t.Fatalf("a piece that was never read: %v", err)
	}
	for i, b := range c.m {
		bad := bytes.Clone(b)
		bad[len(bad)/2] ^= 1
		c.m[i] = bad
	}
	if _, err := Open(t.Context(), Local(off.Seen().Head, c, newKept()), alice, p.ID(), Seen{}, time.Now); !errors.Is(err, ErrOffline) {
		t.Fatalf("a changed cache: %v", err)
	}
	// With the server in reach a bad cache costs a fetch and nothing else.
	on, err := Open(t.Context(), Cached(s, c), alice, p.ID(), Seen{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, on, "a"); err != nil || string(got) != "one" {
		t.Fatal(fmt.Sprintf("%q", got), err)
	}
}

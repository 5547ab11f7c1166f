package project

import (
	"bytes"
	"context"
	"crypto/rand"
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
	"cipherdeck/vault/project/index"
)

// shelf is a server that keeps what it is given and can be told to lie.
type shelf struct {
	mu    sync.Mutex
	blobs map[id.ID][]byte
	heads [][]byte // all heads ever, so that an old one can be served
	show  int      // serve this head; -1 the newest
	race  func()   // runs once before the next CAS
}

func newShelf() *shelf { return &shelf{blobs: map[id.ID][]byte{}, show: -1} }

func (s *shelf) create(_ context.Context, genesis []byte) (Server, error) {
	s.heads = append(s.heads, genesis)
	return s, nil
}

func (s *shelf) Head(context.Context, string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.show
	if i < 0 {
		i = len(s.heads) - 1
	}
	return s.heads[i], uint64(i + 1), nil
}

func (s *shelf) CAS(_ context.Context, _ string, body []byte, prev uint64) (uint64, error) {
	if f := s.race; f != nil {
		s.race = nil
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if prev != uint64(len(s.heads)) {
		return 0, ErrConflict
	}
	s.heads = append(s.heads, body)
	s.blobs[id.Of(body)] = body // as a server does
	return uint64(len(s.heads)), nil
}

func (s *shelf) Have(_ context.Context, ids []id.ID) ([]bool, error) {
	out := make([]bool, len(ids))
	for i, n := range ids {
		_, out[i] = s.blobs[n]
	}
	return out, nil
}

func (s *shelf) PutBlob(_ context.Context, i id.ID, n int64, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != n || id.Of(b) != i {
		return fmt.Errorf("bad blob")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[i] = b
	return nil
}

func (s *shelf) GetBlob(_ context.Context, i id.ID, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[i]
	if !ok {
		return nil, fmt.Errorf("%w: no such blob", ErrDamaged)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func person(t testing.TB, name string) *account.Me {
	t.Helper()
	acc, err := account.New(t.Context(), rand.Reader, name, 2048)
	if err != nil {
		t.Fatal(err)
	}
	me, err := account.Load(acc)
	if err != nil {
		t.Fatal(err)
	}
	return me
}

func create(t *testing.T, s *shelf, me *account.Me) *Project {
	t.Helper()
	p, err := Create(t.Context(), s.create, me, "ward 7", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func add(t *testing.T, p *Project, name string, b []byte) Item {
	t.Helper()
	it, err := p.Add(t.Context(), Meta{Kind: Dataset, Name: name}, bytes.NewReader(b), progress.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func read(t *testing.T, p *Project, name string) ([]byte, error) {
	t.Helper()
	it, err := p.Item(name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = p.Read(t.Context(), it, &b, progress.Discard{})
	return b.Bytes(), err
}

func open(t *testing.T, s *shelf, me *account.Me, pid id.ID, seen Seen) (*Project, error) {
	t.Helper()
	return Open(t.Context(), s, me, pid, seen, time.Now)
}

func TestItemsRoundTripAndHide(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	marker := []byte("mean_radius,malignant\n17.99,1\n")
	big := bytes.Repeat(marker, 2*PieceSize/len(marker)+7)
	for name, b := range map[string][]byte{"empty.csv": nil, "small.csv": marker, "exact.bin": big[:PieceSize], "big.bin": big} {
		add(t, p, name, b)
		again, err := open(t, s, alice, p.ID(), p.Seen())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, again, name); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for _, b := range s.blobs {
		for _, m := range []string{"mean_radius", "17.99", "ward 7", "small.csv", "exact.bin"} {
			if bytes.Contains(b, []byte(m)) {
				t.Fatalf("the server holds %q", m)
			}
		}
	}
	if it, _ := p.Item("small.csv"); len(s.blobs[pieceIDs(t, p, it)[0]]) < 4<<10 {
		t.Fatal("a small item is not padded")
	}
}

func TestShareThenRemove(t *testing.T) {
	s, alice, bob := newShelf(), person(t, "alice"), person(t, "bob")
	p := create(t, s, alice)
	add(t, p, "before.csv", []byte("a,b\n1,2\n"))
	if _, err := open(t, s, bob, p.ID(), Seen{}); !errors.Is(err, ErrNotMember) {
		t.Fatalf("stranger opens: %v", err)
	}
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	pb, err := open(t, s, bob, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, pb, "before.csv"); err != nil || len(got) != 8 {
		t.Fatalf("bob reads: %q %v", got, err)
	}
	if _, err := pb.Add(t.Context(), Meta{Kind: Dataset, Name: "x"}, bytes.NewReader(nil), progress.Discard{}); !errors.Is(err, chain.ErrRight) {
		t.Fatalf("a reader writes: %v", err)
	}
	rep, err := p.Remove(t.Context(), bob.Account.UID)
	if err != nil || rep.Items != 1 || rep.Bytes != 8 || rep.NewEpoch != 2 {
		t.Fatalf("%+v %v", rep, err)
	}
	after := add(t, p, "after.csv", []byte("c,d\n3,4\n"))
	if _, err := open(t, s, bob, p.ID(), pb.Seen()); !errors.Is(err, ErrNotMember) {
		t.Fatalf("removed member opens: %v", err)
	}
	// A lying server hands him everything: his keys still open epoch 1 only.
	r, err := ReachOf(t.Context(), s, bob, p.ID())
	if err != nil || len(r.Epochs) != 1 || r.Epochs[0] != 1 || r.Newest != 2 || r.IndexOpen {
		t.Fatalf("reach of bob: %+v %v", r, err)
	}
	pb.state, pb.index = p.state, p.index // as if he were given the new listing as well
	if err := pb.Read(t.Context(), after, io.Discard, progress.Discard{}); !errors.Is(err, ErrNoKey) {
		t.Fatalf("removed member reads what came after: %v", err)
	}
	// Alice still reads both, also from scratch.
	pa, err := open(t, s, alice, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"before.csv", "after.csv"} {
		if _, err := read(t, pa, n); err != nil {
			t.Fatalf("%s: %v", n, err)
		}
	}
}

// Bob, who joined in epoch 2, reads what was written in epoch 1.
func TestJoinersReadHistory(t *testing.T) {
	s, alice, bob, carol := newShelf(), person(t, "alice"), person(t, "bob"), person(t, "carol")
	p := create(t, s, alice)
	add(t, p, "old.csv", []byte("old"))
	for _, step := range []func() error{
		func() error { return p.Share(t.Context(), bob.Account, chain.Reader) },
		func() error { _, err := p.Remove(t.Context(), bob.Account.UID); return err },
		func() error { return p.Share(t.Context(), carol.Account, chain.Writer) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	pc, err := open(t, s, carol, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, pc, "old.csv"); err != nil || string(got) != "old" {
		t.Fatalf("%q %v", got, err)
	}
	add(t, pc, "new.csv", []byte("new"))
	if err := p.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, p, "new.csv"); err != nil || string(got) != "new" {
		t.Fatalf("%q %v", got, err)
	}
}

func TestLyingServerIsCaught(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	add(t, p, "a.csv", []byte("1"))
	add(t, p, "b.csv", []byte("2"))
	seen := p.Seen()

	s.show = len(s.heads) - 2
	if _, err := open(t, s, alice, p.ID(), seen); !errors.Is(err, ErrRollback) {
		t.Errorf("old head: %v", err)
	}
	s.show = -1
	forked := seen
	forked.Head[0] ^= 1
	if _, err := open(t, s, alice, p.ID(), forked); !errors.Is(err, ErrFork) {
		t.Errorf("another history: %v", err)
	}
	if _, err := open(t, s, alice, id.Of([]byte("another")), Seen{}); !errors.Is(err, ErrFork) {
		t.Errorf("another genesis: %v", err)
	}
	for i, b := range s.blobs {
		bad := bytes.Clone(b)
		bad[len(bad)/2] ^= 1
		s.blobs[i] = bad
		q, err := open(t, s, alice, p.ID(), seen)
		if err == nil {
			_, e1 := read(t, q, "a.csv")
			_, e2 := read(t, q, "b.csv")
			err = errors.Join(e1, e2)
		}
		used := i == id.Of(s.heads[0]) || i == p.state.Index || contains(p, i)
		if used && err == nil {
			t.Errorf("damaged blob %s was not noticed", i.Short())
		}
		s.blobs[i] = b
	}
}

func contains(p *Project, i id.ID) bool {
	for x := range p.index.Blobs(context.Background(), p.nodes()) {
		if x == i {
			return true
		}
	}
	return false
}

func pieceIDs(t *testing.T, p *Project, it Item) []id.ID {
	t.Helper()
	ids, err := p.PieceIDs(t.Context(), it)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// Two writers at once: the slower one replays on the newer state.
func TestConflictReplays(t *testing.T) {
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	q, err := open(t, s, alice, p.ID(), p.Seen())
	if err != nil {
		t.Fatal(err)
	}
	s.race = func() { add(t, q, "theirs.csv", []byte("t")) }
	add(t, p, "mine.csv", []byte("m"))
	for _, n := range []string{"theirs.csv", "mine.csv"} {
		if _, err := read(t, p, n); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
	if _, err := p.Add(t.Context(), Meta{Kind: Dataset, Name: "theirs.csv"}, bytes.NewReader(nil), progress.Discard{}); !errors.Is(err, ErrExists) {
		t.Errorf("same name twice: %v", err)
	}
}

func TestPadmeIsBounded(t *testing.T) {
	for n := int64(0); n < 1<<26; n = n*5/4 + 1 {
		p := index.Padme(n)
		if p < n || p < 4<<10 || n > 4<<10 && float64(p-n) > 0.12*float64(n) {
			t.Fatalf("padme(%d) = %d", n, p)
		}
	}
}

package project

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
)

// jar is a cache that keeps everything.
type jar map[id.ID][]byte

func (j jar) Get(i id.ID) ([]byte, bool) { b, ok := j[i]; return b, ok }
func (j jar) Put(i id.ID, b []byte)      { j[i] = b }
func (j jar) Has(i id.ID) bool           { _, ok := j[i]; return ok }

// board is where members leave their words, with a server that can hold some
// back.
type board struct{ said [][]byte }

func (b *board) Statements(context.Context) ([][]byte, error) { return b.said, nil }
func (b *board) Say(_ context.Context, raw []byte) error      { b.said = append(b.said, raw); return nil }

func TestInvitationByToken(t *testing.T) {
	alice, bob, eve := person(t, "alice"), person(t, "bob"), person(t, "eve")
	s := newShelf()
	p := create(t, s, alice)
	inv, err := p.Invite(t.Context(), chain.Writer, time.Now().Add(time.Hour), "host:1#pin")
	if err != nil {
		t.Fatal(err)
	}
	text, err := inv.Token()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseToken(text + "\n")
	if err != nil || got != inv || got.Head != p.State().Head {
		t.Fatalf("%v", err)
	}
	for _, bad := range []string{"", "x", text[:len(text)-1], text[1:], text[:20] + "A" + text[21:]} {
		if _, err := ParseToken(bad); !errors.Is(err, ErrToken) {
			t.Errorf("%.12q: %v", bad, err)
		}
	}
	if hidden := fmt.Sprintf("%v %+v %#v", inv, inv, inv); len(hidden) > 120 {
		t.Errorf("shows the secret: %s", hidden)
	}
	answer, err := Accept(got, bob)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := p.Answered(answer, inv.ID, inv.Secret); err != nil || a.UID != bob.Account.UID {
		t.Fatalf("%v", err)
	}
	// Somebody without the secret, another invitation, another secret.
	guess := got
	guess.Secret[0] ^= 1
	forged, err := Accept(guess, eve)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Answered(forged, inv.ID, inv.Secret); !errors.Is(err, ErrAnswer) {
		t.Errorf("without the secret: %v", err)
	}
	if _, err := p.Answered(answer, chain.InviteID{1}, inv.Secret); !errors.Is(err, ErrAnswer) {
		t.Errorf("another invitation: %v", err)
	}
	for i := 0; i < len(answer); i += 37 {
		bad := append([]byte{}, answer...)
		bad[i] ^= 4
		if _, err := p.Answered(bad, inv.ID, inv.Secret); err == nil {
			t.Fatalf("byte %d changed", i)
		}
	}
	if err := p.Admit(t.Context(), bob.Account, inv.ID); err != nil {
		t.Fatal(err)
	}
	if err := p.Admit(t.Context(), eve.Account, inv.ID); !errors.Is(err, chain.ErrInvite) {
		t.Errorf("used twice: %v", err)
	}
	// The invited one knows the head of that moment: an older project is refused.
	seen := Seen{Seq: inv.Seq, Head: inv.Head}
	if _, err := open(t, s, bob, p.ID(), seen); err != nil {
		t.Fatal(err)
	}
	s.show = 0
	if _, err := open(t, s, bob, p.ID(), seen); !errors.Is(err, ErrRollback) {
		t.Errorf("older than the token: %v", err)
	}
}

// The server shows alice and bob two projects that begin alike. Each is sound by
// itself; the word of one makes the other notice, with both heads and who signed.
func TestForkIsFoundByWords(t *testing.T) {
	alice, bob, carol := person(t, "alice"), person(t, "bob"), person(t, "carol")
	s := newShelf()
	p := create(t, s, alice)
	for _, who := range []*chain.Account{bob.Account, carol.Account} {
		if err := p.Share(t.Context(), who, chain.Writer); err != nil {
			t.Fatal(err)
		}
	}
	q, err := open(t, s, bob, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	words := &board{}
	if err := p.Confer(t.Context(), words); err != nil || p.Heard().Fresh(time.Now()) {
		t.Fatalf("nobody has said anything: %+v %v", p.Heard(), err)
	}
	if err := q.Confer(t.Context(), words); err != nil || len(q.Heard().Agree) != 1 || !q.Heard().Fresh(time.Now()) {
		t.Fatalf("%+v %v", q.Heard(), err)
	}
	n := len(words.said)
	if err := q.Confer(t.Context(), words); err != nil || len(words.said) != n {
		t.Errorf("the same word twice: %d, %v", len(words.said), err)
	}
	fork := &shelf{blobs: s.blobs, heads: append([][]byte{}, s.heads...), show: -1}
	other, err := open(t, fork, bob, p.ID(), q.Seen())
	if err != nil {
		t.Fatal(err)
	}
	add(t, p, "a", []byte("1"))
	add(t, other, "b", []byte("2"))
	word, err := other.Statement()
	if err != nil {
		t.Fatal(err)
	}
	if st, err := p.Compare(word); !errors.Is(err, ErrFork) || st.Author != bob.Account.UID || st.Head != other.State().Head {
		t.Errorf("fork: %v", err)
	}
	// A word of a link that the server does not show here.
	add(t, p, "c", []byte("3"))
	late, err := p.Statement()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Compare(late); !errors.Is(err, ErrRollback) {
		t.Errorf("ahead: %v", err)
	}
	// Removed, she is not listened to; her word no longer stops anybody.
	words.said = [][]byte{word}
	if err := p.Confer(t.Context(), words); !errors.Is(err, ErrFork) {
		t.Errorf("a contradiction: %v", err)
	}
	// Words of strangers, and changed ones, say nothing.
	for i := range late {
		bad := append([]byte{}, late...)
		bad[i] ^= 1
		if _, err := p.Compare(bad); err == nil || errors.Is(err, ErrFork) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	eve := create(t, newShelf(), person(t, "eve"))
	word, _ = eve.Statement()
	if _, err := p.Compare(word); !errors.Is(err, ErrNotMember) {
		t.Errorf("a stranger: %v", err)
	}
}

// lossy takes a change, or does not, and loses the answer.
type lossy struct {
	*shelf
	takes bool
	left  int // answers to lose
}

func (l *lossy) CAS(ctx context.Context, key string, body []byte, prev uint64) (uint64, error) {
	if l.left == 0 {
		return l.shelf.CAS(ctx, key, body, prev)
	}
	l.left--
	if l.takes {
		if _, err := l.shelf.CAS(ctx, key, body, prev); err != nil {
			return 0, err
		}
	}
	return 0, ErrUnknown
}

// A lost answer has one effect, whether the server took the change or not.
func TestLostAnswerHasOneEffect(t *testing.T) {
	for _, takes := range []bool{true, false} {
		alice, bob := person(t, "alice"), person(t, "bob")
		s := newShelf()
		pid := create(t, s, alice).ID()
		l := &lossy{shelf: s, takes: takes, left: 1}
		p, err := Open(t.Context(), l, alice, pid, Seen{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		before := p.State().Seq
		if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
			t.Fatalf("takes %v: %v", takes, err)
		}
		if p.State().Seq != before+1 || len(p.State().Members) != 2 || len(s.heads) != int(before)+2 {
			t.Errorf("takes %v: link %d, %d members, %d heads", takes, p.State().Seq, len(p.State().Members), len(s.heads))
		}
	}
}

func TestLeaveAndRotate(t *testing.T) {
	alice, bob := person(t, "alice"), person(t, "bob")
	s := newShelf()
	p := create(t, s, alice)
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	q, err := open(t, s, bob, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Rotate(t.Context()); !errors.Is(err, chain.ErrRight) {
		t.Errorf("a reader rotates: %v", err)
	}
	if err := q.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Refresh(t.Context()); err != nil || !p.State().Due {
		t.Fatalf("due %v, %v", p.State().Due, err)
	}
	if err := p.Rotate(t.Context()); err != nil || p.State().Due || p.State().Epoch().Number != 2 {
		t.Fatal(err)
	}
	r, err := ReachOf(t.Context(), s, bob, p.ID())
	if err != nil || len(r.Epochs) != 1 {
		t.Errorf("who left reaches %v, %v", r.Epochs, err)
	}
	// Keys that were not accepted stop a rotation and a share.
	stop := errors.New("stop")
	p.Trust = func(*chain.Account) error { return stop }
	if err := p.Share(t.Context(), bob.Account, chain.Reader); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// A long chain is verified once: from then on only what came after the
// checkpoint. A damaged checkpoint is passed over, a server that goes back
// behind it is caught.
func TestCheckpoint(t *testing.T) {
	alice := person(t, "alice")
	s := newShelf()
	p := create(t, s, alice)
	for i := range 80 {
		if err := p.extend(t.Context(), chain.KindPut, chain.PutBody{Index: id.Of([]byte{byte(i)})}); err != nil {
			t.Fatal(err)
		}
	}
	j := jar{}
	first, err := history(t.Context(), Cached(s, j), p.ID(), Seen{})
	if err != nil || first.kept.IsZero() || first.keptSeq != first.state.Seq {
		t.Fatalf("%v %v", first.kept, err)
	}
	seen := Seen{Seq: first.state.Seq, Head: first.state.Head, State: first.kept}
	only := jar{first.kept: j[first.kept]}
	bare := &shelf{blobs: map[id.ID][]byte{}, heads: s.heads, show: -1} // has no link but the head
	second, err := history(t.Context(), Cached(bare, only), p.ID(), seen)
	if err != nil || second.state.Head != first.state.Head || len(second.heads) != len(first.heads) {
		t.Fatalf("%v", err)
	}
	bad := append([]byte{}, j[first.kept]...)
	bad[100] ^= 1
	if _, err := history(t.Context(), Cached(bare, jar{first.kept: bad}), p.ID(), seen); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged checkpoint is used: %v", err)
	}
	s.show = 40
	if _, err := history(t.Context(), Cached(s, j), p.ID(), seen); !errors.Is(err, ErrRollback) {
		t.Errorf("behind the checkpoint: %v", err)
	}
}

// BenchmarkChain verifies 10 000 links: from the genesis, and from a checkpoint.
func BenchmarkChain(b *testing.B) {
	alice := person(b, "alice")
	s := newShelf()
	p, err := Create(b.Context(), s.create, alice, "ward 7", time.Now)
	if err != nil {
		b.Fatal(err)
	}
	for i := p.state.Seq; i < 10_000; i++ {
		if err := p.extend(b.Context(), chain.KindPut, chain.PutBody{Index: id.Of(fmt.Append(nil, i))}); err != nil {
			b.Fatal(err)
		}
	}
	j := jar{}
	v, err := history(b.Context(), Cached(s, j), p.ID(), Seen{})
	if err != nil {
		b.Fatal(err)
	}
	seen := Seen{Seq: v.state.Seq, Head: v.state.Head, State: v.kept}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			if _, err := history(b.Context(), s, p.ID(), Seen{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("checkpoint", func(b *testing.B) {
		for b.Loop() {
			if _, err := history(b.Context(), Cached(s, j), p.ID(), seen); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestGrantOfAMachine: what was granted is in the chain as it was given, models in
// their order and once.
func TestGrantOfAMachine(t *testing.T) {
	p := create(t, newShelf(), person(t, "alice"))
	_, dev, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	node, err := chain.NewAccount(chain.Node, "node", 1, nil, dev, make([]byte, 1216))
	if err != nil {
		t.Fatal(err)
	}
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	plain, err := p.Grant(t.Context(), Granting{Node: node, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	keyed, err := p.Grant(t.Context(), Granting{Node: node, Until: until, Key: k.PublicKey().Bytes(), AKName: make([]byte, 34),
		Op: chain.GrantBlind, Models: []id.ID{{2}, {1}, {2}}})
	if err != nil {
		t.Fatal(err)
	}
	g := p.State().Grants[plain]
	if g.Key != nil || g.AKName != nil || g.Models != nil || g.Op != 0 {
		t.Errorf("%+v", g)
	}
	older := g
	g = p.State().Grants[keyed]
	if !bytes.Equal(g.Key, k.PublicKey().Bytes()) || len(g.AKName) != 34 || g.Op != chain.GrantBlind || !slices.Equal(g.Models, []id.ID{{1}, {2}}) || g.Seq <= older.Seq {
		t.Errorf("%+v", g)
	}
	if _, err := p.Grant(t.Context(), Granting{Node: node, Until: until, Key: make([]byte, 65), AKName: make([]byte, 34)}); err == nil {
		t.Error("a key that is no point")
	}
}

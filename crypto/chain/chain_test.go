package chain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"
	"time"

	"filippo.io/mldsa"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

type actor struct {
	acc  *Account
	dev  ed25519.PrivateKey
	pq   *mldsa.PrivateKey
	root *rsa.PrivateKey
}

func (a actor) key() Key       { return Key{Sign: a.dev, PQ: a.pq} }
func (a actor) author() Author { return Author{Root: a.root, Device: a.key()} }

// roots are three RSA keys for all persons, since making them is slow.
var roots = sync.OnceValue(func() (r [3]*rsa.PrivateKey) {
	for i := range r {
		r[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return r
})

func newActor(t testing.TB, kind Kind, name string) actor {
	t.Helper()
	_, dev, _ := ed25519.GenerateKey(rand.Reader)
	var root *rsa.PrivateKey
	if kind == Person {
		root = roots()[int(name[0])%3]
	}
	a, err := NewAccount(kind, name, 0, root, dev, make([]byte, xwingKeySize))
	if err != nil {
		t.Fatal(err)
	}
	w := actor{acc: a, dev: dev, root: root}
	if kind == Person {
		w.pq = newPQ(t)
		if w.acc, err = a.GivePQ(w.author(), 1); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func newPQ(t testing.TB) *mldsa.PrivateKey {
	t.Helper()
	k, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func epoch(n uint32) Epoch {
	e := Epoch{Number: n, Wraps: id.Of([]byte{byte(n)})}
	if n > 1 {
		e.Prev = []byte("sealed")
	}
	return e
}

func start(t testing.TB, owner actor) *State {
	t.Helper()
	_, s, err := Start(GenesisBody{Owner: owner.acc.Raw, Epoch: epoch(1)}, owner.acc, owner.key(), time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *State) must(t testing.TB, a actor, kind string, body any) *State {
	t.Helper()
	_, n, err := s.Extend(kind, body, a.acc, a.key(), time.Unix(2, 0))
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	return n
}

func TestAccountRefusesEveryFlippedBit(t *testing.T) {
	raw := newActor(t, Person, "alice").acc.Raw
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := OpenAccount(bad); !errors.Is(err, ErrAccount) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
}

func TestMembershipStory(t *testing.T) {
	alice, bob, node := newActor(t, Person, "alice"), newActor(t, Person, "bob"), newActor(t, Node, "node-1")
	s := start(t, alice)
	s = s.must(t, alice, KindAdd, AddBody{Account: bob.acc.Raw, Links: bob.acc.Links, Role: Reader, Wrap: []byte("w")})
	if !s.Allows(bob.acc.UID, OpRead) || s.Allows(bob.acc.UID, OpWrite) {
		t.Fatal("a reader reads and does not write")
	}
	gb := GrantBody{Node: node.acc.Raw, NotAfter: 100}
	s = s.must(t, alice, KindGrant, gb)
	name, _ := GrantID(gb)
	if _, err := s.GrantFor(name, node.acc.UID, time.Unix(99, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GrantFor(name, node.acc.UID, time.Unix(100, 0)); !errors.Is(err, ErrGrant) {
		t.Fatalf("expired grant: %v", err)
	}
	if _, err := s.GrantFor(name, bob.acc.UID, time.Unix(99, 0)); !errors.Is(err, ErrGrant) {
		t.Fatalf("foreign grant: %v", err)
	}
	s = s.must(t, alice, KindRemove, RemoveBody{UID: bob.acc.UID, Epoch: epoch(2)})
	if s.Allows(bob.acc.UID, OpAudit) || s.Epoch().Number != 2 {
		t.Fatal("removed member keeps a right")
	}
	if _, _, err := s.Extend(KindPut, PutBody{Index: id.Of(nil)}, bob.acc, bob.key(), time.Unix(3, 0)); !errors.Is(err, ErrRight) {
		t.Fatalf("removed member writes: %v", err)
	}
}

func TestNextRefuses(t *testing.T) {
	alice, bob, eve := newActor(t, Person, "alice"), newActor(t, Person, "bob"), newActor(t, Person, "eve")
	s := start(t, alice)
	two := s.must(t, alice, KindAdd, AddBody{Account: bob.acc.Raw, Links: bob.acc.Links, Role: Writer, Wrap: []byte("w")})
	for name, c := range map[string]struct {
		who  actor
		kind string
		body any
		err  error
	}{
		"stranger writes":          {eve, KindPut, PutBody{Index: id.Of(nil)}, ErrRight},
		"writer adds":              {bob, KindAdd, AddBody{Account: eve.acc.Raw, Links: eve.acc.Links, Role: Reader, Wrap: []byte("w")}, ErrRight},
		"writer rotates":           {bob, KindRotate, RotateBody{Epoch: epoch(2)}, ErrRight},
		"writer grants":            {bob, KindGrant, GrantBody{Node: newActor(t, Node, "n").acc.Raw, NotAfter: 9}, ErrRight},
		"owner leaves":             {alice, KindRemove, RemoveBody{UID: alice.acc.UID, Epoch: epoch(2)}, nil},
		"removal keeps the epoch":  {alice, KindRemove, RemoveBody{UID: bob.acc.UID, Epoch: epoch(1)}, nil},
		"person granted as a node": {alice, KindGrant, GrantBody{Node: bob.acc.Raw, NotAfter: 9}, nil},
		"auditor with a key":       {alice, KindAdd, AddBody{Account: eve.acc.Raw, Links: eve.acc.Links, Role: Auditor, Wrap: []byte("w")}, nil},
		"added twice":              {alice, KindAdd, AddBody{Account: bob.acc.Raw, Links: bob.acc.Links, Role: Reader, Wrap: []byte("w")}, nil},
		"unknown kind":             {alice, "party", PutBody{}, nil},
	} {
		// Sign it without the author's own checks, as an attacker would.
		enc, _ := doc.Encode(c.body)
		l := two.forge(c.who, c.kind, enc)
		raw, _ := doc.Sign(LinkType, l, c.who.key().signers(strong(c.kind))...)
		_, err := two.Next(raw)
		if !errors.Is(err, ErrLink) || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A good link of bob's, replayed where it does not belong or signed by another.
	put, _, err := two.Extend(KindPut, PutBody{Index: id.Of(nil)}, bob.acc, bob.key(), time.Unix(3, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(put); !errors.Is(err, ErrOrder) {
		t.Errorf("link skipped: %v", err)
	}
	if _, _, err := two.Extend(KindPut, PutBody{Index: id.Of(nil)}, bob.acc, eve.key(), time.Unix(3, 0)); !errors.Is(err, ErrRight) {
		t.Errorf("signed by another device: %v", err)
	}
}

// forge is a link after s that nobody has checked.
func (s *State) forge(who actor, kind string, body []byte) Link {
	l := Link{V: 2, Project: s.Project, Seq: s.Seq + 1, Prev: s.Head, Epoch: s.Epoch().Number, Author: who.acc.UID, Kind: kind, Body: body, Account: who.acc.Head}
	l.Device, _ = who.key().ID()
	l.Accounts = s.news([]*Account{who.acc})
	return l
}

func TestRolesTable(t *testing.T) {
	// The whole table once more, by hand: role, then the operations it has.
	want := map[Role]string{Nobody: "", Owner: "0123456", Admin: "012345", Writer: "0123", Reader: "01", Auditor: "0", 99: ""}
	for r, ops := range want {
		for op := range opCount {
			has := bytes.ContainsRune([]byte(ops), rune('0'+op))
			if r.Allows(Op(op)) != has {
				t.Errorf("%s op %d: %v", r, op, !has)
			}
		}
	}
}

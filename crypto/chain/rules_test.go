package chain

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

func (a actor) add(role Role) AddBody {
	b := AddBody{Account: a.acc.Raw, Links: a.acc.Links, Role: role, Wrap: []byte("w")}
	if role == Auditor {
		b.Wrap = []byte{}
	}
	return b
}

// What changes who may read or do what carries ML-DSA-65 beside Ed25519; with
// either left out, or a third one added, it is refused.
func TestStrippedSignaturesAreRefused(t *testing.T) {
	alice, bob, eve := newActor(t, Person, "alice"), newActor(t, Person, "bob"), newActor(t, Person, "eve")
	node := newActor(t, Node, "n")
	s := start(t, alice).must(t, alice, KindAdd, bob.add(Writer))
	gb := GrantBody{Node: node.acc.Raw, NotAfter: 100}
	s = s.must(t, alice, KindGrant, gb)
	s = s.must(t, alice, KindInvite, InviteBody{ID: InviteID{1}, Role: Reader, NotAfter: 100})
	db := DelegateBody{To: bob.acc.UID, Ops: []Op{OpGrant}, NotAfter: 100}
	s = s.must(t, alice, KindDelegate, db)
	grant, _ := BodyID(gb)
	lent, _ := BodyID(db)
	for kind, body := range map[string]any{
		KindAdd: eve.add(Reader), KindRole: RoleBody{bob.acc.UID, Reader}, KindRemove: RemoveBody{bob.acc.UID, epoch(2)},
		KindRotate: RotateBody{epoch(2)}, KindGrant: GrantBody{Node: node.acc.Raw, NotAfter: 101}, KindUngrant: UngrantBody{grant},
		KindInvite: InviteBody{ID: InviteID{2}, Role: Reader, NotAfter: 100}, KindUninvite: UninviteBody{InviteID{1}},
		KindDelegate: DelegateBody{To: bob.acc.UID, Ops: []Op{OpManage}, NotAfter: 100}, KindUndelegate: UndelegateBody{lent},
		KindPut: PutBody{id.Of(nil)},
	} {
		raw, _, err := s.Extend(kind, body, alice.acc, alice.key(), time.Unix(2, 0))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		var d doc.Signed
		if err := doc.Decode(raw, &d); err != nil {
			t.Fatal(err)
		}
		want := 2
		if kind == KindPut {
			want = 1
		}
		if len(d.Sigs) != want {
			t.Errorf("%s has %d signatures, want %d", kind, len(d.Sigs), want)
		}
		for i := range d.Sigs {
			cut := d
			cut.Sigs = append(append([]doc.Sig{}, d.Sigs[:i]...), d.Sigs[i+1:]...)
			if _, err := s.Next(must(doc.Encode(cut))); !errors.Is(err, ErrLink) {
				t.Errorf("%s without signature %d: %v", kind, i, err)
			}
		}
		var l Link
		if err := doc.Decode(d.Body, &l); err != nil {
			t.Fatal(err)
		}
		three := []crypto.Signer{alice.dev, alice.pq, bob.dev}
		if _, err := s.Next(must(doc.Sign(LinkType, l, three...))); !errors.Is(err, ErrLink) {
			t.Errorf("%s with a third signature: %v", kind, err)
		}
	}
	// An account without its ML-DSA key does nothing that needs one.
	weak := alice
	weak.acc = must(OpenAccount(alice.acc.Raw))
	if _, _, err := Start(GenesisBody{Owner: weak.acc.Raw, Epoch: epoch(1)}, weak.acc, Key{Sign: weak.dev}, time.Unix(1, 0)); !errors.Is(err, ErrLink) {
		t.Errorf("genesis without ML-DSA: %v", err)
	}
}

func TestLastOwnerStays(t *testing.T) {
	alice, bob := newActor(t, Person, "alice"), newActor(t, Person, "bob")
	s := start(t, alice).must(t, alice, KindAdd, bob.add(Admin))
	for name, c := range map[string]struct {
		who  actor
		kind string
		body any
		err  error
	}{
		"owner leaves":         {alice, KindLeave, LeaveBody{}, ErrOwners},
		"owner demotes self":   {alice, KindRole, RoleBody{alice.acc.UID, Reader}, ErrOwners},
		"admin removes owner":  {bob, KindRemove, RemoveBody{alice.acc.UID, epoch(2)}, ErrRight},
		"admin promotes self":  {bob, KindRole, RoleBody{bob.acc.UID, Owner}, ErrRight},
		"admin makes an admin": {bob, KindAdd, newActor(t, Person, "x").add(Admin), ErrRight},
	} {
		if _, _, err := s.Extend(c.kind, c.body, c.who.acc, c.who.key(), time.Unix(3, 0)); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	two := s.must(t, alice, KindRole, RoleBody{bob.acc.UID, Owner})
	left := two.must(t, alice, KindLeave, LeaveBody{})
	if left.Allows(alice.acc.UID, OpAudit) || !left.Due {
		t.Fatal("a member who left stays, or the epoch is not due")
	}
	if n := left.must(t, bob, KindRotate, RotateBody{epoch(2)}); n.Due {
		t.Fatal("due after a rotation")
	}
}

func TestInvitations(t *testing.T) {
	alice, bob, eve := newActor(t, Person, "alice"), newActor(t, Person, "bob"), newActor(t, Person, "eve")
	i := InviteID{7}
	s := start(t, alice).must(t, alice, KindInvite, InviteBody{ID: i, Role: Writer, NotAfter: 50})
	with := func(a actor, r Role, i InviteID) AddBody { b := a.add(r); b.Invite = i; return b }
	for name, b := range map[string]AddBody{"another role": with(bob, Reader, i), "another invitation": with(bob, Writer, InviteID{8})} {
		if _, _, err := s.Extend(KindAdd, b, alice.acc, alice.key(), time.Unix(3, 0)); !errors.Is(err, ErrInvite) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := s.Extend(KindAdd, with(bob, Writer, i), alice.acc, alice.key(), time.Unix(51, 0)); !errors.Is(err, ErrInvite) {
		t.Errorf("over: %v", err)
	}
	used := s.must(t, alice, KindAdd, with(bob, Writer, i))
	if !used.Members[bob.acc.UID].Invited || used.Members[bob.acc.UID].By != alice.acc.UID {
		t.Error("who let him in is not known")
	}
	if _, _, err := used.Extend(KindAdd, with(eve, Writer, i), alice.acc, alice.key(), time.Unix(3, 0)); !errors.Is(err, ErrInvite) {
		t.Errorf("used twice: %v", err)
	}
	gone := s.must(t, alice, KindUninvite, UninviteBody{i})
	if _, _, err := gone.Extend(KindAdd, with(bob, Writer, i), alice.acc, alice.key(), time.Unix(3, 0)); !errors.Is(err, ErrInvite) {
		t.Errorf("withdrawn: %v", err)
	}
	if _, _, err := s.Extend(KindInvite, InviteBody{ID: InviteID{9}, Role: Owner, NotAfter: 50}, alice.acc, alice.key(), time.Unix(3, 0)); err == nil {
		t.Error("an invitation for an owner")
	}
}

func TestDelegation(t *testing.T) {
	alice, bob, carol := newActor(t, Person, "alice"), newActor(t, Person, "bob"), newActor(t, Person, "carol")
	dave := newActor(t, Person, "dave")
	s := start(t, alice).must(t, alice, KindAdd, bob.add(Reader)).must(t, alice, KindAdd, carol.add(Reader))
	db := DelegateBody{To: bob.acc.UID, Ops: []Op{OpWrite, OpManage}, NotAfter: 100}
	lent := s.must(t, alice, KindDelegate, db)
	id1, _ := BodyID(db)
	at := func(s *State, who actor, kind string, body any, sec int64) error {
		_, _, err := s.Extend(kind, body, who.acc, who.key(), time.Unix(sec, 0))
		return err
	}
	if err := at(lent, bob, KindAdd, dave.add(Writer), 3); err != nil {
		t.Errorf("what was lent: %v", err)
	}
	if err := at(lent, bob, KindAdd, dave.add(Admin), 3); !errors.Is(err, ErrRight) {
		t.Errorf("more than was lent: %v", err)
	}
	if err := at(lent, bob, KindAdd, dave.add(Writer), 100); !errors.Is(err, ErrRight) {
		t.Errorf("over: %v", err)
	}
	late := lent.must(t, alice, KindPut, PutBody{id.Of(nil)})
	raw, late, err := late.Extend(KindPut, PutBody{id.Of(nil)}, alice.acc, alice.key(), time.Unix(5000, 0))
	if err != nil || raw == nil {
		t.Fatal(err)
	}
	if err := at(late, bob, KindAdd, dave.add(Writer), 50); !errors.Is(err, ErrRight) {
		t.Errorf("dated back: %v", err)
	}
	// Lent on: no more, no longer.
	for name, b := range map[string]DelegateBody{
		"more":             {To: carol.acc.UID, Ops: []Op{OpGrant}, NotAfter: 100, Parent: id1},
		"longer":           {To: carol.acc.UID, Ops: []Op{OpWrite}, NotAfter: 101, Parent: id1},
		"without a parent": {To: carol.acc.UID, Ops: []Op{OpWrite}, NotAfter: 100},
		"to himself":       {To: bob.acc.UID, Ops: []Op{OpWrite}, NotAfter: 100, Parent: id1},
		"to a stranger":    {To: dave.acc.UID, Ops: []Op{OpWrite}, NotAfter: 100, Parent: id1},
		"own":              {To: carol.acc.UID, Ops: []Op{OpOwn}, NotAfter: 100, Parent: id1},
		"twice the same":   {To: carol.acc.UID, Ops: []Op{OpWrite, OpWrite}, NotAfter: 100, Parent: id1},
	} {
		if err := at(lent, bob, KindDelegate, b, 3); !errors.Is(err, ErrDelegation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	on := DelegateBody{To: carol.acc.UID, Ops: []Op{OpWrite}, NotAfter: 90, Parent: id1}
	both := lent.must(t, bob, KindDelegate, on)
	if !both.AllowsAt(carol.acc.UID, OpWrite, time.Unix(89, 0)) || both.AllowsAt(carol.acc.UID, OpWrite, time.Unix(90, 0)) || both.AllowsAt(carol.acc.UID, OpManage, time.Unix(3, 0)) {
		t.Error("what was lent on")
	}
	// The first falls, and with it the second; so too when the lender goes.
	ended := both.must(t, alice, KindUndelegate, UndelegateBody{id1})
	if len(ended.Delegations) != 0 {
		t.Errorf("%d delegations left", len(ended.Delegations))
	}
	removed := both.must(t, alice, KindRemove, RemoveBody{bob.acc.UID, epoch(2)})
	if removed.AllowsAt(carol.acc.UID, OpWrite, time.Unix(3, 0)) {
		t.Error("a removed member still lends")
	}
}

// Rights that ended stay ended, even when a member and the server together date
// links back: first one that nobody checks the time of, then the one that needs
// the right.
func TestWhatWasLentEndsForGood(t *testing.T) {
	alice, bob, carol := newActor(t, Person, "alice"), newActor(t, Person, "bob"), newActor(t, Person, "carol")
	dave := newActor(t, Person, "dave")
	s := start(t, alice).must(t, alice, KindAdd, bob.add(Writer)).must(t, alice, KindAdd, carol.add(Reader))
	b := DelegateBody{To: bob.acc.UID, Ops: []Op{OpManage}, NotAfter: 10_000}
	lent := s.must(t, alice, KindDelegate, b)
	i, _ := BodyID(b)
	at := func(s *State, who actor, kind string, body any, sec int64) (*State, error) {
		_, n, err := s.Extend(kind, body, who.acc, who.key(), time.Unix(sec, 0))
		return n, err
	}
	over := must(at(lent, alice, KindPut, PutBody{id.Of(nil)}, 20_000))
	// His own right to write takes the date back, and the lent one follows.
	back := must(at(over, bob, KindPut, PutBody{id.Of([]byte{1})}, 9_000))
	if _, err := at(back, bob, KindAdd, dave.add(Writer), 9_000); !errors.Is(err, ErrRight) {
		t.Errorf("used after its end: %v", err)
	}
	if _, err := at(over, bob, KindDelegate, DelegateBody{To: carol.acc.UID, Ops: []Op{OpManage}, NotAfter: 9_999, Parent: i}, 9_000); !errors.Is(err, ErrDelegation) {
		t.Errorf("lent on after its end: %v", err)
	}
	raw, name, err := back.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at(must(Restore(raw, name)), bob, KindAdd, dave.add(Writer), 9_000); !errors.Is(err, ErrRight) {
		t.Errorf("used after its end, from a snapshot: %v", err)
	}
}

// Links of version 1 know neither account links nor what came with version 2: a
// member whose first device was revoked when he was added could go on with it.
func TestVersion1BringsNothingNew(t *testing.T) {
	alice, bob := newActor(t, Person, "alice"), newActor(t, Person, "bob")
	key, req := laptop(t, bob.acc.UID, "laptop")
	two := must(bob.acc.AddDevice(bob.author(), req, 2))
	moved := must(two.RevokeDevice(Author{Root: bob.root, Device: key}, two.Devices[0].ID, 3))
	weak := func(s *State, kind string, body any) error {
		l := Link{V: 1, Author: alice.acc.UID, Kind: kind, Project: s.Project, Seq: s.Seq + 1, Prev: s.Head, Body: must(doc.Encode(body))}
		n := s.clone()
		if err := n.apply(&l, s); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		l.Epoch, l.Root = n.Epoch().Number, must(n.root(linkV1))
		_, err := s.Next(must(doc.Sign(LinkType, l, alice.dev)))
		return err
	}
	g := GenesisBody{Owner: alice.acc.Raw, Epoch: epoch(1)}
	l := Link{V: 1, Kind: KindGenesis, Author: alice.acc.UID, Epoch: 1, Body: must(doc.Encode(g)), Root: must(first(g, must(OpenAccount(alice.acc.Raw))).root(linkV1))}
	s := must(Begin(must(doc.Sign(LinkType, l, alice.dev))))
	for name, c := range map[string]struct {
		kind string
		body any
	}{
		"account links": {KindAdd, AddBody{Account: bob.acc.Raw, Links: moved.Links, Role: Writer, Wrap: []byte("w")}},
		"invitation":    {KindInvite, InviteBody{ID: InviteID{1}, Role: Reader, NotAfter: 100}},
	} {
		if err := weak(s, c.kind, c.body); !errors.Is(err, ErrLink) {
			t.Errorf("%s in a link of version 1: %v", name, err)
		}
	}
	if err := weak(s, KindAdd, AddBody{Account: bob.acc.Raw, Role: Writer, Wrap: []byte("w")}); err != nil {
		t.Errorf("a plain one: %v", err)
	}
}

// A revoked device signs nothing from the moment the project knows; changed
// keys and revoked devices make a new epoch due.
func TestAccountNewsInAProject(t *testing.T) {
	alice, bob := newActor(t, Person, "alice"), newActor(t, Person, "bob")
	key, req := laptop(t, bob.acc.UID, "laptop")
	two := must(bob.acc.AddDevice(bob.author(), req, 2))
	s := start(t, alice).must(t, alice, KindAdd, bob.add(Writer))
	// The laptop's first link brings the account link that makes it bob's.
	_, s2, err := s.Extend(KindPut, PutBody{id.Of(nil)}, two, key, time.Unix(2, 0))
	if err != nil {
		t.Fatal(err)
	}
	if s2.Due || s2.Members[bob.acc.UID].Account.Seq != 2 {
		t.Fatal("a device more is no reason for a new epoch")
	}
	three := must(two.RevokeDevice(bob.author(), two.Devices[1].ID, 3))
	raw, s3, err := s2.ExtendWith(KindAccount, AccountBody{}, alice.acc, alice.key(), []*Account{three}, time.Unix(3, 0))
	if err != nil {
		t.Fatal(err)
	}
	if !s3.Due {
		t.Error("a revoked device knows the epoch's key, and none is due")
	}
	if _, _, err := s3.Extend(KindPut, PutBody{id.Of(nil)}, three, key, time.Unix(4, 0)); !errors.Is(err, ErrRight) {
		t.Errorf("revoked device writes: %v", err)
	}
	// The account in the project never goes back: a put in the state after it
	// that claims the older head is refused.
	l := s3.forge(bob, KindPut, must(doc.Encode(PutBody{id.Of(nil)})))
	l.Account = two.Head
	l.Device, _ = key.ID()
	if _, err := s3.Next(must(doc.Sign(LinkType, l, key.Sign))); !errors.Is(err, ErrLink) {
		t.Errorf("an older account: %v", err)
	}
	if _, err := s3.Next(raw); !errors.Is(err, ErrOrder) {
		t.Errorf("the same again: %v", err)
	}
	// Rotated keys too; and who comes back must come with the account he left with.
	fresh, _ := rsa.GenerateKey(rand.Reader, 2048)
	four := must(three.Rotate(bob.author(), fresh, make([]byte, xwingKeySize), 4))
	_, s4, err := s3.must(t, alice, KindRotate, RotateBody{epoch(2)}).Extend(KindAccount, AccountBody{}, four, bob.key(), time.Unix(4, 0))
	if err != nil || !s4.Due {
		t.Fatalf("%v, due %v", err, s4.Due)
	}
	out := s4.must(t, alice, KindRemove, RemoveBody{bob.acc.UID, epoch(3)})
	old := AddBody{Account: bob.acc.Raw, Links: two.Links, Role: Writer, Wrap: []byte("w")}
	if _, _, err := out.Extend(KindAdd, old, alice.acc, alice.key(), time.Unix(5, 0)); !errors.Is(err, ErrKeysChanged) {
		t.Errorf("back with an older account: %v", err)
	}
}

// A grant says which key of which machine, and which models; each field is held
// against the format, and none changes what a grant without them is.
func TestGrantOfAMachine(t *testing.T) {
	alice, node := newActor(t, Person, "alice"), newActor(t, Node, "n")
	s := start(t, alice)
	good := attested(node.acc)
	next := s.must(t, alice, KindGrant, good)
	name := must(GrantID(good))
	g, err := next.GrantFor(name, node.acc.UID, time.Unix(9, 0))
	if err != nil || !bytes.Equal(g.Key, good.Key) || !bytes.Equal(g.AKName, good.AKName) || g.Op != GrantBlind || !reflect.DeepEqual(g.Body(), good) {
		t.Fatalf("%+v, %v", g, err)
	}
	if !g.Allows(id.ID{1}) || g.Allows(id.ID{3}) || !(Grant{}).Allows(id.ID{3}) {
		t.Error("models")
	}
	raw := must(doc.Encode(good))
	if got, err := OpenGrant(raw, name); err != nil || got.ID != name || !bytes.Equal(got.Key, good.Key) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := OpenGrant(raw, id.ID{1}); !errors.Is(err, ErrGrant) {
		t.Errorf("another grant: %v", err)
	}
	plain := GrantBody{Node: node.acc.Raw, NotAfter: 2000}
	if enc := must(doc.Encode(plain)); enc[0] != 0xA2 {
		t.Errorf("a plain grant has other bytes: %x", enc[:4])
	}
	many := make([]id.ID, MaxGrantModels+1)
	for i := range many {
		many[i] = id.ID{byte(i)}
	}
	for name, change := range map[string]func(*GrantBody){
		"key without AK":           func(b *GrantBody) { b.AKName = nil },
		"AK without key":           func(b *GrantBody) { b.Key = nil },
		"AK name too long":         func(b *GrantBody) { b.AKName = make([]byte, maxAKName+1) },
		"key off the curve":        func(b *GrantBody) { b.Key = bytes.Clone(b.Key); b.Key[64] ^= 1 },
		"key cut":                  func(b *GrantBody) { b.Key = b.Key[:64] },
		"key compressed":           func(b *GrantBody) { b.Key = append([]byte{2 + b.Key[64]&1}, b.Key[1:33]...) },
		"unknown operation":        func(b *GrantBody) { b.Op = GrantBlind + 1 },
		"models do not ascend":     func(b *GrantBody) { b.Models = []id.ID{{2}, {1}} },
		"a model twice":            func(b *GrantBody) { b.Models = []id.ID{{1}, {1}} },
		"more models than allowed": func(b *GrantBody) { b.Models = many },
	} {
		bad := good
		change(&bad)
		l := s.forge(alice, KindGrant, must(doc.Encode(bad)))
		if _, err := s.Next(must(doc.Sign(LinkType, l, alice.key().signers(true)...))); !errors.Is(err, ErrLink) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := OpenGrant(must(doc.Encode(bad)), must(GrantID(bad))); !errors.Is(err, ErrGrant) {
			t.Errorf("%s, opened alone: %v", name, err)
		}
	}
	edge := good
	edge.Models, edge.Op = many[:MaxGrantModels], 0
	s.must(t, alice, KindGrant, edge)
}

// A state comes back from its snapshot as it was, and goes on; any other bytes
// are refused.
func TestSnapshot(t *testing.T) {
	alice, bob, node := newActor(t, Person, "alice"), newActor(t, Person, "bob"), newActor(t, Node, "n")
	s := start(t, alice).must(t, alice, KindAdd, bob.add(Writer)).must(t, alice, KindGrant, GrantBody{Node: node.acc.Raw, NotAfter: 100})
	s = s.must(t, alice, KindGrant, attested(node.acc))
	s = s.must(t, alice, KindInvite, InviteBody{ID: InviteID{1}, Role: Reader, NotAfter: 100})
	s = s.must(t, alice, KindDelegate, DelegateBody{To: bob.acc.UID, Ops: []Op{OpGrant}, NotAfter: 100})
	s = s.must(t, alice, KindAdd, newActor(t, Person, "carol").add(Auditor))
	s = s.must(t, alice, KindRemove, RemoveBody{bob.acc.UID, epoch(2)}).must(t, alice, KindPut, PutBody{id.Of(nil)})
	raw, name, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Restore(raw, name)
	if err != nil {
		t.Fatal(err)
	}
	if must(got.Root()) != must(s.Root()) {
		t.Fatal("another root")
	}
	again, name2, _ := got.Snapshot()
	if !bytes.Equal(raw, again) || name != name2 || !reflect.DeepEqual(got.Former[bob.acc.UID], s.Former[bob.acc.UID]) || !reflect.DeepEqual(bodies(got), bodies(s)) {
		t.Fatal("a snapshot of the snapshot is another one")
	}
	got.must(t, alice, KindRotate, RotateBody{epoch(3)})
	raw[len(raw)/2] ^= 1
	if _, err := Restore(raw, name); !errors.Is(err, ErrSnapshot) {
		t.Errorf("changed: %v", err)
	}
}

// A chain that an older program began, with one Ed25519 signature a link, is
// read and goes on with links of version 2; none of version 1 may follow those.
func TestVersion1GoesOn(t *testing.T) {
	alice, bob := newActor(t, Person, "alice"), newActor(t, Person, "bob")
	s := &State{Nonce: [32]byte{1}}
	one := func(s *State, l Link, body any, b GenesisBody) []byte {
		l.V, l.Author = 1, alice.acc.UID
		l.Body = must(doc.Encode(body))
		n := first(b, must(OpenAccount(alice.acc.Raw)))
		if s != nil {
			n = s.clone()
			if err := n.apply(&l, s); err != nil {
				t.Fatal(err)
			}
		}
		l.Epoch, l.Root = n.Epoch().Number, must(n.root(linkV1))
		return must(doc.Sign(LinkType, l, alice.dev))
	}
	g := GenesisBody{Nonce: [32]byte{1}, Owner: alice.acc.Raw, Epoch: epoch(1)}
	s = must(Begin(one(nil, Link{Kind: KindGenesis}, g, g)))
	weakBob := AddBody{Account: bob.acc.Raw, Role: Reader, Wrap: []byte("w")}
	s = must(s.Next(one(s, Link{Project: s.Project, Seq: 1, Prev: s.Head, Kind: KindAdd}, weakBob, g)))
	two := s.must(t, alice, KindPut, PutBody{id.Of(nil)})
	if two.Version != linkV2 || two.Members[alice.acc.UID].Account.Seq != 1 {
		t.Fatal("the first new link brings the author's ML-DSA key")
	}
	back := one(two, Link{Project: s.Project, Seq: 3, Prev: two.Head, Kind: KindPut}, PutBody{id.Of([]byte{1})}, g)
	if _, err := two.Next(back); !errors.Is(err, ErrLink) {
		t.Errorf("version 1 after version 2: %v", err)
	}
	two.must(t, alice, KindRemove, RemoveBody{bob.acc.UID, epoch(2)})
}

// bodies is what s says of its grants, without what an account caches.
func bodies(s *State) map[id.ID]string {
	out := map[id.ID]string{}
	for k, g := range s.Grants {
		out[k] = fmt.Sprint(g.Body(), g.Seq, g.By, g.ID)
	}
	return out
}

package chain

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/mldsa"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

var update = flag.Bool("update", false, "write the vectors of testdata anew")

// vector is a link and what a reader finds after it, or why he refuses it.
type vector struct {
	Kind   string `json:"kind"`
	Link   []byte `json:"link"` // base64
	ID     string `json:"id,omitempty"`
	Root   string `json:"root,omitempty"`
	Epoch  uint32 `json:"epoch,omitempty"`
	Member int    `json:"members,omitempty"`
	Due    bool   `json:"due,omitempty"`
	Refuse string `json:"refused,omitempty"` // in place of the others: a link that must not be taken there
}

// fixed makes a person of fixed bytes. The RSA key is in testdata; account
// signatures have chance in them, so the vectors hold what was signed once.
func fixedActor(t *testing.T, name string, n byte) actor {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "rsa.pem"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(raw)
	k := must(x509.ParsePKCS8PrivateKey(b.Bytes)).(*rsa.PrivateKey)
	seed := bytes.Repeat([]byte{n}, 32)
	a := actor{dev: ed25519.NewKeyFromSeed(seed), pq: must(mldsa.NewPrivateKey(mldsa.MLDSA65(), seed)), root: k}
	root := doc.Same{PrivateKey: k, Salt: [32]byte(seed)}
	acc := must(NewSameAccount(name, root, a.dev, bytes.Repeat([]byte{n}, xwingKeySize)))
	a.acc = must(acc.GivePQ(Author{Root: root, Device: a.key()}, 0))
	return a
}

// story is a chain with every kind of link.
func story(t *testing.T) []vector {
	alice, bob, carol := fixedActor(t, "alice", 1), fixedActor(t, "bob", 2), fixedActor(t, "carol", 3)
	nodeDev := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	node := must(NewAccount(Node, "node-1", 0, nil, nodeDev, bytes.Repeat([]byte{9}, xwingKeySize)))
	raw, s, err := Start(GenesisBody{Nonce: [32]byte{7}, Owner: alice.acc.Raw, Epoch: epoch(1)}, alice.acc, alice.key(), time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	out := []vector{seenAfter(KindGenesis, raw, s)}
	do := func(who actor, kind string, body any) {
		t.Helper()
		raw, n, err := s.Extend(kind, body, who.acc, who.key(), time.Unix(int64(10+s.Seq), 0))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		s = n
		out = append(out, seenAfter(kind, raw, s))
	}
	refuse := func(why string, raw []byte) { out = append(out, vector{Kind: "refused", Link: raw, Refuse: why}) }

	gb := GrantBody{Node: node.Raw, NotAfter: 1000}
	db := DelegateBody{To: bob.acc.UID, Ops: []Op{OpWrite, OpGrant}, NotAfter: 1000}
	do(alice, KindPut, PutBody{id.Of([]byte("index 1"))})
	do(alice, KindAdd, bob.add(Writer))
	do(alice, KindInvite, InviteBody{ID: InviteID{1}, Role: Reader, NotAfter: 1000})
	do(alice, KindInvite, InviteBody{ID: InviteID{2}, Role: Reader, NotAfter: 1000})
	invited := carol.add(Reader)
	invited.Invite = InviteID{1}
	do(alice, KindAdd, invited)
	do(alice, KindUninvite, UninviteBody{InviteID{2}})
	do(alice, KindRole, RoleBody{bob.acc.UID, Reader})
	do(alice, KindDelegate, db)
	do(bob, KindPut, PutBody{id.Of([]byte("index 2"))})
	do(alice, KindGrant, gb)
	do(bob, KindUngrant, UngrantBody{must(BodyID(gb))})
	do(alice, KindUndelegate, UndelegateBody{must(BodyID(db))})
	do(carol, KindLeave, LeaveBody{})
	do(alice, KindRotate, RotateBody{epoch(2)})

	good, _, err := s.Extend(KindRemove, RemoveBody{bob.acc.UID, epoch(3)}, alice.acc, alice.key(), time.Unix(100, 0))
	if err != nil {
		t.Fatal(err)
	}
	var d doc.Signed
	if err := doc.Decode(good, &d); err != nil {
		t.Fatal(err)
	}
	one := d
	one.Sigs = d.Sigs[:1]
	refuse("the ML-DSA-65 signature was left out", must(doc.Encode(one)))
	one.Sigs = d.Sigs[1:]
	refuse("the Ed25519 signature was left out", must(doc.Encode(one)))
	forged := s.forge(bob, KindPut, must(doc.Encode(PutBody{id.Of([]byte("index 3"))})))
	refuse("a reader puts", must(doc.Sign(LinkType, forged, bob.dev)))
	do(alice, KindRemove, RemoveBody{bob.acc.UID, epoch(3)})
	refuse("the link before once more", good)

	_, req := fixedLaptop(t, alice.acc.UID)
	two := must(alice.acc.AddDevice(alice.author(), req, 5))
	alice.acc = two
	do(alice, KindAccount, AccountBody{})
	do(alice, KindGrant, attested(node))
	return out
}

// attested is a grant to a machine whose TPM has a key, for two models.
func attested(node *Account) GrantBody {
	k := must(ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{7}, 32)))
	return GrantBody{Node: node.Raw, NotAfter: 2000, Key: k.PublicKey().Bytes(), AKName: append([]byte{0, 11}, make([]byte, 32)...),
		Op: GrantBlind, Models: []id.ID{{1}, {2}}}
}

func fixedLaptop(t *testing.T, u UID) (Key, []byte) {
	t.Helper()
	seed := bytes.Repeat([]byte{5}, 32)
	k := Key{Sign: ed25519.NewKeyFromSeed(seed), PQ: must(mldsa.NewPrivateKey(mldsa.MLDSA65(), seed))}
	return k, must(NewRequest(u, "laptop", k, bytes.Repeat([]byte{5}, xwingKeySize)))
}

func seenAfter(kind string, raw []byte, s *State) vector {
	return vector{Kind: kind, Link: raw, ID: s.Head.String(), Root: must(s.Root()).String(), Epoch: s.Epoch().Number, Member: len(s.Members), Due: s.Due}
}

// The vectors are what another implementation reads: every link verifies and
// leads to that state, and what is to be refused is.
func TestVectors(t *testing.T) {
	path := filepath.Join("testdata", "project.json")
	if *update {
		raw, err := json.MarshalIndent(story(t), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var s *State
	kinds := map[string]bool{}
	for i, v := range all {
		n, err := next(s, v.Link)
		if v.Refuse != "" {
			if err == nil {
				t.Errorf("%d: taken, though %s", i, v.Refuse)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%d %s: %v", i, v.Kind, err)
		}
		if got := seenAfter(v.Kind, v.Link, n); got.ID != v.ID || got.Root != v.Root || got.Epoch != v.Epoch || got.Member != v.Member || got.Due != v.Due {
			t.Errorf("%d %s: %+v", i, v.Kind, got)
		}
		s = n
		kinds[v.Kind] = true
	}
	if len(kinds) != 14 {
		t.Errorf("%d kinds, want all 14", len(kinds))
	}
}

func next(s *State, raw []byte) (*State, error) {
	if s == nil {
		return Begin(raw)
	}
	return s.Next(raw)
}

package channel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/softtpm"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// nodeRig is a node that measured itself.
type nodeRig struct {
	*NodeResponder
	name   NodeName
	policy attest.Policy
}

// newNode starts a node on a TPM of its own; what it runs is binary.
func newNode(t *testing.T, seed byte, uid, binary string, signer ed25519.PrivateKey) nodeRig {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, newDevice(t, softtpm.Config{Seed: [32]byte{seed}, ResetCount: 1}))
	pub := key.Public().(ed25519.PublicKey)
	b, err := eventlog.NewBuilder(m.TPM)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []eventlog.Event{{Name: "binary", Digest: sha256.Sum256([]byte(binary))}, {Name: "node-key", Digest: sha256.Sum256(pub)}} {
		if err := b.Add(e.Name, e.Digest, ""); err != nil {
			t.Fatal(err)
		}
	}
	if m.Log, err = b.Close(); err != nil {
		t.Fatal(err)
	}
	m.Manifest, err = manifest.Sign(attest.Manifest{
		V: 2, Product: product, Version: 1, NotAfter: 1 << 40,
		Baselines: []attest.Baseline{{Name: "node", Events: []attest.Golden{
			{Name: "binary", Any: [][32]byte{sha256.Sum256([]byte("honest"))}},
			{Name: "node-key", Bound: true},
			{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
		}}},
	}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return nodeRig{NewNodeResponder(m, []byte(uid), key), NodeName{UID: []byte(uid), Key: pub},
		attest.Policy{Product: product, Signers: [][]byte{signer.Public().(ed25519.PublicKey)}, Threshold: 1, Enrol: true}}
}

func newSigner(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A node proves itself through a server that only carries, enrols once, and the
// saved transcript is judged again with the same end.
func TestNodeAttests(t *testing.T) {
	n := newNode(t, 1, "node a", "honest", newSigner(t))
	var kinds []string
	carry := func(ctx context.Context, kind string, body []byte) ([]byte, error) {
		kinds = append(kinds, kind)
		return n.Answer(ctx, kind, body)
	}
	v, tr, err := AskNode(t.Context(), carry, n.name, n.policy, "node a", judgedAt())
	if err != nil || v.Links[0].ID != LinkNode || v.Links[0].State != attest.Pass || v.Word() != "demo" {
		t.Fatalf("%v, %+v", err, v)
	}
	if len(kinds) != 2 || kinds[1] != KindEnrol || tr.Enrolled == nil {
		t.Errorf("asked %v, enrolled %v", kinds, tr.Enrolled)
	}
	raw, err := tr.Save()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(raw)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := again.Judge(t.Context(), n.policy, judgedAt()); err != nil || w.Digest != v.Digest {
		t.Errorf("judged again: %v", err)
	}
	p := n.policy
	p.Enrolled = tr.Enrolled
	kinds = nil
	if _, _, err := AskNode(t.Context(), carry, n.name, p, "node a", judgedAt()); err != nil || len(kinds) != 1 {
		t.Errorf("a node that is known: asked %v, %v", kinds, err)
	}
}

// The node is changed and the server honest: its own measurement tells.
func TestChangedNode(t *testing.T) {
	n := newNode(t, 1, "node a", "changed", newSigner(t))
	v, _, err := AskNode(t.Context(), n.Answer, n.name, n.policy, "node a", judgedAt())
	brokenAt(t, v, err, attest.LinkEvents)
}

// The node is honest and the server is not: whatever it gives instead of the
// node's own answer breaks the first link.
func TestLyingServer(t *testing.T) {
	signer := newSigner(t)
	n, other := newNode(t, 1, "node a", "honest", signer), newNode(t, 2, "node b", "honest", signer)
	twin := newNode(t, 3, "node a", "honest", signer) // another machine under the same id
	var old []byte
	if _, _, err := AskNode(t.Context(), func(ctx context.Context, kind string, body []byte) (raw []byte, err error) {
		raw, err = n.Answer(ctx, kind, body)
		if kind == KindAttest {
			old = raw
		}
		return raw, err
	}, n.name, n.policy, "node a", judgedAt()); err != nil {
		t.Fatal(err)
	}
	first := func(answer func(ctx context.Context, body []byte) ([]byte, error)) Carry {
		return func(ctx context.Context, kind string, body []byte) ([]byte, error) {
			if kind == KindAttest {
				return answer(ctx, body)
			}
			return n.Answer(ctx, kind, body)
		}
	}
	mixed := func(edit func(mine, others *NodeReply)) Carry {
		return first(func(ctx context.Context, body []byte) ([]byte, error) {
			var mine, others NodeReply
			for _, x := range []struct {
				n    nodeRig
				into *NodeReply
			}{{n, &mine}, {other, &others}} {
				raw, err := x.n.Answer(ctx, KindAttest, body)
				if err != nil {
					return nil, err
				}
				if err := doc.Decode(raw, x.into); err != nil {
					return nil, err
				}
			}
			edit(&mine, &others)
			return doc.Encode(mine)
		})
	}
	for what, carry := range map[string]Carry{
		"another node":             first(func(ctx context.Context, b []byte) ([]byte, error) { return other.Answer(ctx, KindAttest, b) }),
		"another under its id":     first(func(ctx context.Context, b []byte) ([]byte, error) { return twin.Answer(ctx, KindAttest, b) }),
		"an old answer":            first(func(context.Context, []byte) ([]byte, error) { return old, nil }),
		"evidence of another node": mixed(func(mine, others *NodeReply) { mine.Evidence = others.Evidence }),
		"signature of another":     mixed(func(mine, others *NodeReply) { mine.Signed = others.Signed }),
		"no signature":             mixed(func(mine, _ *NodeReply) { mine.Signed = nil }),
	} {
		v, _, err := AskNode(t.Context(), carry, n.name, n.policy, "node a", judgedAt())
		brokenAt(t, v, err, LinkNode)
		for _, l := range v.Links[1:] {
			if l.State != attest.NotChecked {
				t.Errorf("%s: link %s is %s", what, l.ID, l.State)
			}
		}
	}
	// Its identity key is stolen and signs for another machine: the quote binds
	// the key that its machine measured.
	v, _, err := AskNode(t.Context(), func(ctx context.Context, kind string, body []byte) ([]byte, error) {
		forged := NodeResponder{other.r, n.uid, n.key}
		return forged.Answer(ctx, kind, body)
	}, n.name, n.policy, "node a", judgedAt())
	brokenAt(t, v, err, attest.LinkEvents)
}

// The verdict about a server is never one about a node, nor the reverse: the
// bindings have different domains.
func TestServerIsNoNode(t *testing.T) {
	s := newServer(t).start(t)
	r := s.record(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// An operator signs the server's own evidence as a node's.
	said := nodeSaid{UID: []byte("node a")}
	v, _, err := AskNode(t.Context(), func(_ context.Context, _ string, challenge []byte) ([]byte, error) {
		c, err := parseChallenge(challenge)
		if err != nil {
			return nil, err
		}
		bind, _, err := NewResponder(s.machine).bind(&r.cs, challenge)
		if err != nil {
			return nil, err
		}
		e, err := NewResponder(s.machine).encoded(bind, c)
		if err != nil {
			return nil, err
		}
		said.Challenge, said.Evidence = id.Of(challenge), id.Of(e)
		signed, err := doc.Sign(NodeAnswerType, said, key)
		if err != nil {
			return nil, err
		}
		return doc.Encode(NodeReply{Evidence: e, Signed: signed})
	}, NodeName{UID: []byte("node a"), Key: key.Public().(ed25519.PublicKey)}, s.policy, "node a", judgedAt())
	brokenAt(t, v, err, attest.LinkNonce)
}

func TestNodeQuestionsRefused(t *testing.T) {
	n := newNode(t, 1, "node a", "honest", newSigner(t))
	for kind, body := range map[string][]byte{KindAttest: []byte("junk"), KindEnrol: bytes.Repeat([]byte{1}, MaxEnrolling+1), "other": nil} {
		if out, err := n.Answer(t.Context(), kind, body); !errors.Is(err, ErrChallenge) || out != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, raw := range [][]byte{nil, []byte("junk"), make([]byte, MaxNodeReply+1)} {
		_, _, err := AskNode(t.Context(), func(context.Context, string, []byte) ([]byte, error) { return raw, nil }, n.name, n.policy, "node a", judgedAt())
		if !errors.Is(err, ErrResponse) {
			t.Errorf("%d bytes: %v", len(raw), err)
		}
	}
}

func TestNodeBindVector(t *testing.T) {
	p := Parts{Nonce: [32]byte{1}, JobKey: []byte("job"), Manifest: []byte("manifest"), Challenge: []byte("challenge"), Logs: []byte("logs")}
	const want = "a36ca6576917888ecc7eb803e6e083c689d0d311661513a322598fad643cfd08" // from a second implementation
	if got := BindNode([]byte("node"), [32]byte{2}, p); hex.EncodeToString(got[:]) != want {
		t.Errorf("%x, want %s", got, want)
	}
}

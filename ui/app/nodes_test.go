package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/attest/device"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/grant"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/chain"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
)

// worker is a node's account, and the machine that it runs on now.
type worker struct {
	*channel.NodeResponder
	point  []byte // of the job key in its TPM
	ak     []byte
	moved  bool // register 7 is not as it was
	acc    *chain.Account
	key    ed25519.PrivateKey
	signer ed25519.PrivateKey
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newWorker(t *testing.T, signer ed25519.PrivateKey) *worker {
	t.Helper()
	w := &worker{key: newKey(t), signer: signer}
	var err error
	if w.acc, err = chain.NewAccount(chain.Node, "worker", 1, nil, w.key, make([]byte, 1216)); err != nil {
		t.Fatal(err)
	}
	return w
}

// starts runs the node on the TPM that seed makes, as the program binary.
func (w *worker) starts(t *testing.T, seed byte, resets uint32, binary string) {
	t.Helper()
	soft, err := softtpm.StartSeeded(softtpm.Config{Seed: [32]byte{seed}, ResetCount: resets}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := device.NewSoft(soft)
	if err != nil {
		t.Fatal(err)
	}
	m := channel.Machine{TPM: dev.TPM, EKChain: dev.Chain}
	if m.EK, err = tpm2.NewEK(dev.TPM, nil); err != nil {
		t.Fatal(err)
	}
	if m.AK, err = tpm2.NewAK(dev.TPM); err != nil {
		t.Fatal(err)
	}
	if w.moved {
		// TPM2_PCR_Extend of register 7 by a SHA-256 of zeros, with an empty password.
		cmd, err := hex.DecodeString("80020000004100000182" + "00000007" + "00000009400000090000010000" + "00000001000b")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := m.TPM.Send(append(cmd, make([]byte, 32)...)); err != nil || !bytes.Equal(out[6:10], make([]byte, 4)) {
			t.Fatalf("%x, %v", out, err)
		}
	}
	b, err := eventlog.NewBuilder(m.TPM)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []eventlog.Event{{Name: "binary", Digest: sha256.Sum256([]byte(binary))}, {Name: "node-key", Digest: sha256.Sum256(w.acc.Device)}} {
		if err := b.Add(e.Name, e.Digest, ""); err != nil {
			t.Fatal(err)
		}
	}
	if m.Log, err = b.Close(); err != nil {
		t.Fatal(err)
	}
	k, err := grant.NewKey(m.TPM, m.AK, attest.SHA256, channel.PCRs())
	if err != nil {
		t.Fatal(err)
	}
	w.point, w.ak, m.JobKey, m.Key = k.Point, m.AK.Name.Buffer, k.Point, new(channel.Certified)
	m.Key.Public, m.Key.Attest, m.Key.Signature = k.Certified()
	m.Manifest, err = manifest.Sign(attest.Manifest{V: 2, Product: Product, Version: 1, NotAfter: 1 << 40,
		Baselines: []attest.Baseline{{Name: "node", Events: []attest.Golden{
			{Name: "binary", Any: [][32]byte{sha256.Sum256([]byte("honest"))}},
			{Name: "node-key", Bound: true},
			{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
		}}}}, w.signer)
	if err != nil {
		t.Fatal(err)
	}
	w.NodeResponder = channel.NewNodeResponder(m, w.acc.UID[:], w.key)
}

const wardID = "ward"

// asker is an App that pinned a server with these signers, and has a project
// on it.
func asker(t *testing.T, signers ...ed25519.PrivateKey) *App {
	t.Helper()
	a := openedApp(t, "alice")
	srv := vault.Server{Addr: "127.0.0.1:1", Pinned: vault.Pinned{Product: Product, Threshold: len(signers), MinRoot: uint8(attest.RootSoftware)}}
	for _, k := range signers {
		srv.Signers = append(srv.Signers, k.Public().(ed25519.PublicKey))
	}
	if err := a.update(func(s *vault.State) error {
		s.Servers["main"], s.Projects[wardID] = srv, vault.Project{Name: "ward 7", Server: "main"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNodeIsPinned: the first verdict pins the machine, one that shows nothing
// new is not written down, and a restart of the machine is.
func TestNodeIsPinned(t *testing.T) {
	signer := newKey(t)
	a, w := asker(t, signer), newWorker(t, signer)
	name := NodeName(w.acc.UID)
	w.starts(t, 1, 1, "honest")
	for range 2 {
		v, err := a.attestNode(t.Context(), wardID, w.acc, w.Answer)
		if err != nil || v.Word() != "demo" || v.Subject != "node "+chainShort(w.acc.UID.String()) {
			t.Fatalf("%v, %+v", err, v)
		}
	}
	m, err := a.Machine(name)
	if err != nil || len(m.History) != 1 || m.History[0].Note != "first seen; credential activated" || m.Words == "" {
		t.Fatalf("%v, %+v", err, m)
	}
	w.starts(t, 1, 2, "honest")
	if _, err := a.attestNode(t.Context(), wardID, w.acc, w.Answer); err != nil {
		t.Fatal(err)
	}
	if m, err = a.Machine(name); err != nil || len(m.History) != 2 || !strings.Contains(m.History[1].Note, "rebooted: reset count 3, was 2") || m.Held != "" {
		t.Fatalf("%v, %+v", err, m)
	}
	all, err := a.Nodes()
	if err != nil || len(all) != 1 || all[0].Project != "ward 7" || all[0].Server != "main" || all[0].MinRoot != attest.RootSoftware.String() || all[0].Verdict != "demo" {
		t.Fatalf("%v, %+v", err, all)
	}
	if script := a.board.script(name); script == nil || script.Node == nil {
		t.Error("there is nothing to export")
	}
}

// TestNodeIsHeldTo: what a node is held to comes from its project's server or
// from the person, once.
func TestNodeIsHeldTo(t *testing.T) {
	signer, other := newKey(t), newKey(t)
	public := func(k ed25519.PrivateKey) []ed25519.PublicKey {
		return []ed25519.PublicKey{k.Public().(ed25519.PublicKey)}
	}
	w := newWorker(t, signer)
	storage := asker(t)
	if _, err := storage.holdNode(wardID, w.acc, NodeHold{}); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "--signer") {
		t.Errorf("nobody's manifests: %v", err)
	}
	if first, err := storage.holdNode(wardID, w.acc, NodeHold{Signers: public(signer)}); !first || err != nil {
		t.Fatalf("%v %v", first, err)
	}
	if all, _ := storage.Nodes(); all[0].MinRoot != attest.RootHardware.String() {
		t.Errorf("a root that nobody named: %+v", all[0])
	}
	a := asker(t, signer)
	if first, err := a.holdNode(wardID, w.acc, NodeHold{}); !first || err != nil {
		t.Fatalf("%v %v", first, err)
	}
	for what, h := range map[string]NodeHold{"signer": {Signers: public(other)}, "root": {Root: attest.RootHardware}, "threshold": {Threshold: 2}} {
		if _, err := a.holdNode(wardID, w.acc, h); !errors.Is(err, ErrPin) {
			t.Errorf("another %s: %v", what, err)
		}
	}
	if first, err := a.holdNode(wardID, w.acc, NodeHold{Signers: public(signer), Root: attest.RootSoftware}); first || err != nil {
		t.Errorf("the same: %v %v", first, err)
	}
	if err := a.ForgetNode(w.acc.UID); err != nil {
		t.Fatal(err)
	}
	if first, err := a.holdNode(wardID, w.acc, NodeHold{Signers: public(other)}); !first || err != nil {
		t.Errorf("forgotten: %v %v", first, err)
	}
	if _, err := a.AddServer(NodeName(w.acc.UID), api.Code{}, nil, 0, 0); !errors.Is(err, ErrInput) {
		t.Errorf("a server that is called like a node: %v", err)
	}
}

// TestServerLiesAboutNode: whatever a server gives instead of the node's own
// answer is refused, moves no pin, and suspends the node here until a person
// looked.
func TestServerLiesAboutNode(t *testing.T) {
	signer := newKey(t)
	w, other := newWorker(t, signer), newWorker(t, signer)
	w.starts(t, 1, 1, "honest")
	other.starts(t, 2, 1, "honest")
	var old []byte
	honest := func(ctx context.Context, kind string, body []byte) ([]byte, error) {
		raw, err := w.Answer(ctx, kind, body)
		if kind == channel.KindAttest {
			old = bytes.Clone(raw)
		}
		return raw, err
	}
	if _, err := asker(t, signer).attestNode(t.Context(), wardID, w.acc, honest); err != nil {
		t.Fatal(err)
	}
	name := NodeName(w.acc.UID)
	for what, lie := range map[string]channel.Carry{
		"another node's": other.Answer,
		"an older one":   func(context.Context, string, []byte) ([]byte, error) { return old, nil },
		"its own": func(ctx context.Context, kind string, body []byte) ([]byte, error) {
			own := *other // an operator who signs as the node, with a key of his
			own.acc = w.acc
			own.starts(t, 3, 1, "honest")
			return own.Answer(ctx, kind, body)
		},
	} {
		a := asker(t, signer)
		if v, err := a.attestNode(t.Context(), wardID, w.acc, lie); !errors.Is(err, attest.ErrRefused) || v.Broken().ID != channel.LinkNode || a.held(name) != nil {
			t.Errorf("%s, first seen: %v, held %v", what, err, a.held(name))
		}
		if err := a.ForgetNode(w.acc.UID); err != nil {
			t.Fatal(err)
		}
		if _, err := a.attestNode(t.Context(), wardID, w.acc, honest); err != nil {
			t.Fatal(err)
		}
		before, _, _ := a.pin(name)
		v, err := a.attestNode(t.Context(), wardID, w.acc, lie)
		if !errors.Is(err, attest.ErrRefused) || v.Broken() == nil || v.Broken().ID != channel.LinkNode {
			t.Errorf("%s: %v", what, err)
		}
		after, _, _ := a.pin(name)
		if !bytes.Equal(before.AKName, after.AKName) || *before.Machine.Boot != *after.Machine.Boot {
			t.Errorf("%s: moved what is known", what)
		}
		if err := a.held(name); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "node "+chainShort(w.acc.UID.String())) {
			t.Errorf("%s: not suspended: %v", what, err)
		}
		if _, err := a.attestNode(t.Context(), wardID, w.acc, honest); err != nil || !errors.Is(a.held(name), ErrHeld) {
			t.Errorf("%s: resumed by itself: %v", what, err)
		}
		if why, err := a.Resume(name); err != nil || why == "" || a.held(name) != nil {
			t.Errorf("%s: %q %v", what, why, err)
		}
	}
}

// TestNodeChanged: the account is the same and the machine is not.
func TestNodeChanged(t *testing.T) {
	signer := newKey(t)
	a, w := asker(t, signer), newWorker(t, signer)
	name := NodeName(w.acc.UID)
	w.starts(t, 1, 1, "honest")
	if _, err := a.attestNode(t.Context(), wardID, w.acc, w.Answer); err != nil {
		t.Fatal(err)
	}
	w.starts(t, 1, 2, "changed")
	if v, err := a.attestNode(t.Context(), wardID, w.acc, w.Answer); !errors.Is(err, attest.ErrRefused) || v.Broken().ID != attest.LinkEvents || a.held(name) == nil {
		t.Errorf("another program: %v", err)
	}
	w.starts(t, 9, 1, "honest")
	if _, err := a.attestNode(t.Context(), wardID, w.acc, w.Answer); !errors.Is(err, ErrIdentity) || Explain(err).Exit != ExitRefused {
		t.Errorf("another TPM: %v", err)
	}
	if err := a.ForgetMachine(name); err != nil {
		t.Fatal(err)
	}
	if _, err := a.attestNode(t.Context(), wardID, w.acc, w.Answer); err != nil || a.held(name) == nil {
		t.Errorf("forgotten: %v, held %v", err, a.held(name))
	}
}

package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	gotpm "github.com/google/go-tpm/tpm2"

	"cipherdeck/assets"
	"cipherdeck/attest"
	"cipherdeck/attest/grant"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/node"
	"cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/project"
)

// ward is a project on a server that is attested, with a few planned rows and a
// node whose machine has a TPM.
type ward struct {
	*App
	p    *project.Project
	w    *Work
	srv  *server.Server
	node remotetest.Who
	tpm  *softtpm.TPM
	key  *grant.Key
	ak   *tpm2.AK
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{App: openedApp(t, "alice"), node: remotetest.Node(t, "node")}
	cfg := remotetest.Config(t.TempDir())
	policy := remotetest.Manifest(t, cfg)
	w.srv = remotetest.Start(t, server.Options{Config: cfg})
	remotetest.Enrolled(t, w.srv, w.node)
	code, err := api.ParseCode(w.srv.Code())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddServer("main", code, []ed25519.PublicKey{policy.Signers[0]}, 1, attest.RootSoftware); err != nil {
		t.Fatal(err)
	}
	if w.p, err = w.NewProject(t.Context(), "ward", "main"); err != nil {
		t.Fatal(err)
	}
	rows, err := dataset.ReadCSV("wdbc.csv", bytes.NewReader(assets.WDBC()))
	if err != nil {
		t.Fatal(err)
	}
	if w.w, err = PlanFiles(RunSpec{Model: "logreg.onnx", Data: "wdbc.csv", Label: "malignant", Rows: []int{0, 1, 2, 19, 20, 21}}, assets.Model(), rows); err != nil {
		t.Fatal(err)
	}
	w.boot(t)
	return w
}

// boot starts the node's machine, again or for the first time.
func (w *ward) boot(t *testing.T) {
	t.Helper()
	w.tpm = softtpm.New(softtpm.Config{Seed: [32]byte{1}})
	var err error
	if w.ak, err = tpm2.NewAK(w.tpm); err != nil {
		t.Fatal(err)
	}
	if w.key, err = grant.NewKey(w.tpm, w.ak, attest.SHA256, []uint8{7, 14}); err != nil {
		t.Fatal(err)
	}
}

// grant grants the node's machine as it is.
func (w *ward) grant(t *testing.T, models ...id.ID) Where {
	t.Helper()
	_, err := w.p.Grant(t.Context(), project.Granting{Node: w.node.Account, Until: w.Now().Add(time.Hour), Key: w.key.Point, AKName: w.ak.Name.Buffer, Models: models})
	if err != nil {
		t.Fatal(err)
	}
	at, err := w.At(w.p, w.node.UID)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// asked is for a machine of which nothing is asked before a job.
func asked(_ context.Context, _ *project.Project, at Where, _ id.ID, _ *Outcome) (chain.Grant, error) {
	return at.Grants[0], nil
}

// during runs a job while work is done on the node's side.
func (w *ward) during(t *testing.T, at Where, work func(ctx context.Context) error) (*Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	out, err := w.score(t.Context(), w.p, w.w, at, asked, progress.Discard{})
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	return out, err
}

func (w *ward) honest(t *testing.T) func(context.Context) error {
	return node.Node{Client: remotetest.Client(t, w.srv, w.node), Runner: circuit.Runner{}, Identity: w.node.Key, Keys: w.key}.Run
}

// copied answers as somebody who has the node's signing key and not its machine.
func (w *ward) copied(t *testing.T, proof func(job.Result, job.JobDoc) ([]byte, error)) func(context.Context) error {
	c := remotetest.Client(t, w.srv, w.node)
	return func(ctx context.Context) error {
		l, ok, err := c.Lease(ctx, 20*time.Second)
		if err != nil || !ok {
			return errors.Join(err, ctx.Err())
		}
		var s doc.Signed
		var j job.JobDoc
		if err := errors.Join(doc.Decode(l.Doc, &s), doc.Decode(s.Body, &j)); err != nil {
			return err
		}
		p := c.Project(l.Project)
		none := []byte("outputs")
		if err := p.PutBlob(ctx, id.Of(none), int64(len(none)), bytes.NewReader(none)); err != nil {
			return err
		}
		r := job.Result{V: 1, Job: l.Job, Plan: j.Plan, Model: j.Model, Inputs: j.Inputs, Outputs: id.Of(none), Isolation: job.IsolationProcess, Engine: "copied"}
		if r.Proof, err = proof(r, j); err != nil {
			return err
		}
		signed, err := doc.Sign(job.ResultType, r, w.node.Key)
		if err != nil {
			return err
		}
		return c.Complete(ctx, api.LeaseReport{Project: l.Project, Job: l.Job, Token: l.Token, Result: signed})
	}
}

// TestProven: what a granted machine answers is proven by its key; nobody else's
// answer is taken, whoever has the node's signing key.
func TestProven(t *testing.T) {
	w := newWard(t)
	plain, err := w.GrantNode(t.Context(), w.p, w.node.UID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	at, err := w.At(w.p, w.node.UID)
	if err != nil || at.Grants[0].ID != plain || at.Grants[0].Key != nil {
		t.Fatalf("%+v, %v", at, err)
	}
	out, err := w.during(t, at, w.honest(t))
	if err != nil || out.Proven {
		t.Fatalf("a plain grant: %+v, %v", out, err)
	}
	if at = w.grant(t, id.Of(w.w.model)); !bytes.Equal(at.Grants[0].Key, w.key.Point) {
		t.Fatalf("the grant with a key does not go first: %+v", at)
	}
	out, err = w.during(t, at, w.honest(t))
	if err != nil || !out.Proven || len(out.Scores) != 6 {
		t.Fatalf("%+v, %v", out, err)
	}

	for name, proof := range map[string]func(job.Result, job.JobDoc) ([]byte, error){
		"none":           func(job.Result, job.JobDoc) ([]byte, error) { return nil, nil },
		"a guess":        func(r job.Result, _ job.JobDoc) ([]byte, error) { return r.Prove([grant.KeySize]byte{}) },
		"the sealed key": func(r job.Result, j job.JobDoc) ([]byte, error) { return r.Prove([32]byte(j.Release[65:97])) },
		"of another result": func(r job.Result, j job.JobDoc) ([]byte, error) {
			key, err := w.key.Open(j.Release, j.Terms(), time.Now())
			if err != nil {
				return nil, err
			}
			r.Outputs = j.Inputs
			return r.Prove(key)
		},
	} {
		out, err := w.during(t, at, w.copied(t, proof))
		if !errors.Is(err, job.ErrProof) || out.Proven || out.Scores != nil || Explain(err).Exit != ExitRejected {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

// TestMachineChangedSinceItsGrant: the job fails and says why, until the machine
// that is there now is granted.
func TestMachineChangedSinceItsGrant(t *testing.T) {
	w := newWard(t)
	at := w.grant(t)
	refused := func(what string) {
		t.Helper()
		out, err := w.during(t, at, w.honest(t))
		if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), node.ErrKey.Error()) || out.Proven {
			t.Errorf("%s: %+v, %v", what, out, err)
		}
	}
	_, err := gotpm.PCRExtend{
		PCRHandle: gotpm.AuthHandle{Handle: 14, Auth: gotpm.PasswordAuth(nil)},
		Digests:   gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(w.tpm)
	if err != nil {
		t.Fatal(err)
	}
	refused("changed")
	w.boot(t)
	refused("restarted")
	at = w.grant(t)
	if out, err := w.during(t, at, w.honest(t)); err != nil || !out.Proven {
		t.Errorf("granted again: %+v, %v", out, err)
	}
}

// phases are those that a run came to.
type phases struct {
	progress.Discard
	seen []string
}

func (s *phases) Phase(name string, _ int64, _ progress.Unit) { s.seen = append(s.seen, name) }

// TestRefusedNodeGetsNothing: what a node says of itself is judged before a row
// is encrypted.
func TestRefusedNodeGetsNothing(t *testing.T) {
	w := newWard(t)
	var s phases
	out, err := w.score(t.Context(), w.p, w.w, w.grant(t), func(context.Context, *project.Project, Where, id.ID, *Outcome) (chain.Grant, error) {
		return chain.Grant{}, ErrNodeKey
	}, &s)
	if !errors.Is(err, ErrNodeKey) || out.Job != (id.ID{}) || out.Canaries != 0 || len(s.seen) != 0 {
		t.Errorf("%v, %+v, phases %q", err, out, s.seen)
	}
}

// TestOrderOfGrants: a key goes before none, and the newest before older ones, however
// long these last.
func TestOrderOfGrants(t *testing.T) {
	n := &chain.Account{UID: chain.UID{1}}
	now := time.Unix(1000, 0)
	g := func(i byte, seq uint64, life time.Duration, key string) chain.Grant {
		return chain.Grant{ID: id.ID{i}, Node: n, Seq: seq, NotAfter: now.Add(life), Key: []byte(key)}
	}
	all := map[id.ID]chain.Grant{}
	for _, x := range []chain.Grant{g(1, 9, time.Hour, ""), g(2, 4, 9*time.Hour, "old"), g(3, 5, time.Hour, "new"), g(4, 6, -time.Hour, "ended")} {
		all[x.ID] = x
	}
	got := grantsOf(all, n.UID, now)
	if len(got) != 3 || got[0].ID != (id.ID{3}) || got[1].ID != (id.ID{2}) || got[2].ID != (id.ID{1}) {
		t.Errorf("%+v", got)
	}
	if got := grantsOf(all, chain.UID{2}, now); len(got) != 0 {
		t.Errorf("grants of another node: %+v", got)
	}
}

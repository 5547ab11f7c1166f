// Package remotetest makes what tests of the remote side need: accounts, a
// project, a real server on loopback with a real store. It is imported by
// tests only.
package remotetest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/mldsa"

	"cipherdeck/attest"
	"cipherdeck/attest/host"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/server"
)

// product is that of every manifest, as ui/app has it.
const product = "cipherdeck"

// Who is an account with its keys.
type Who struct {
	*chain.Account
	Key  ed25519.PrivateKey
	PQ   *mldsa.PrivateKey // nil for a node
	Root *rsa.PrivateKey   // nil for a node
}

// Signer is what w signs links of a project with.
func (w Who) Signer() chain.Key { return chain.Key{Sign: w.Key, PQ: w.PQ} }

// Author is who signs links of w's account.
func (w Who) Author() chain.Author { return chain.Author{Root: w.Root, Device: w.Signer()} }

// root makes one RSA key for all persons of a test program: making them is
// slow, and their accounts differ by the device key.
var root = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// Person makes an account of kind person.
func Person(t testing.TB, name string) Who {
	t.Helper()
	k, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return account(t, chain.Person, name, k)
}

// Node makes an account of kind node.
func Node(t testing.TB, name string) Who { return account(t, chain.Node, name, nil) }

func account(t testing.TB, kind chain.Kind, name string, k *rsa.PrivateKey) Who {
	t.Helper()
	_, device, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := chain.NewAccount(kind, name, 1, k, device, bytes.Repeat([]byte{7}, 1216))
	if err != nil {
		t.Fatal(err)
	}
	w := Who{Account: a, Key: device, Root: k}
	if k == nil {
		return w
	}
	if w.PQ, err = mldsa.GenerateKey(mldsa.MLDSA65()); err != nil {
		t.Fatal(err)
	}
	if w.Account, err = a.GivePQ(w.Author(), 1); err != nil {
		t.Fatal(err)
	}
	return w
}

// Config is a server on any port, with the data in dir. It is patient, so that
// a busy machine makes no handshake fail.
func Config(dir string) server.Config {
	c := server.DefaultConfig()
	c.Listen, c.DataDir = "127.0.0.1:0", dir
	c.RatePerSecond, c.RateBurst, c.HeaderLimitSeconds = 1<<16, 1<<16, 60
	return c
}

// Start starts a server and closes it at the end of the test, unless the test
// did.
func Start(t testing.TB, o server.Options) *server.Server {
	t.Helper()
	if o.Checkpoints == 0 {
		o.Checkpoints = 100 * time.Millisecond
	}
	s, err := server.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("close server: %v", err)
		}
	})
	return s
}

// Client is a client of s for w.
func Client(t testing.TB, s *server.Server, w Who, edit ...func(*api.Config)) *api.Client {
	t.Helper()
	c := api.Config{Addr: s.Addr(), Pin: s.Pin(), UID: w.UID, Device: w.Key, Account: w.Raw, Links: w.Links}
	for _, e := range edit {
		e(&c)
	}
	k := api.New(c)
	t.Cleanup(k.Close)
	return k
}

// Enrolled is a client whose account the server knows.
func Enrolled(t testing.TB, s *server.Server, w Who, edit ...func(*api.Config)) *api.Client {
	t.Helper()
	c := Client(t, s, w, edit...)
	if err := c.Enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// Project is a project as its owner writes it.
type Project struct {
	*api.Project
	State *chain.State
	Owner Who
	Grant id.ID
	Now   func() time.Time // of the owner's links; nil: time.Now
	rev   uint64
}

// NewProject makes a project of owner on the server of c.
func NewProject(t testing.TB, c *api.Client, owner Who) *Project {
	t.Helper()
	var nonce [32]byte
	_, _ = rand.Read(nonce[:])
	raw, st, err := chain.Start(chain.GenesisBody{Nonce: nonce, Owner: owner.Raw, Epoch: chain.Epoch{Number: 1, Wraps: id.Of([]byte("wraps"))}}, owner.Account, owner.Signer(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.CreateProject(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	_, rev, err := p.Head(t.Context(), api.HeadKey)
	if err != nil {
		t.Fatal(err)
	}
	return &Project{Project: p, State: st, Owner: owner, rev: rev}
}

// Sign makes a link after the head, by the owner.
func (p *Project) Sign(t testing.TB, kind string, body any) ([]byte, *chain.State) {
	t.Helper()
	now := time.Now()
	if p.Now != nil {
		now = p.Now()
	}
	raw, next, err := p.State.Extend(kind, body, p.Owner.Account, p.Owner.Signer(), now)
	if err != nil {
		t.Fatal(err)
	}
	return raw, next
}

// Do writes a link and makes it the head.
func (p *Project) Do(t testing.TB, kind string, body any) {
	t.Helper()
	raw, next := p.Sign(t, kind, body)
	p.Put(t, raw)
	rev, err := p.CAS(t.Context(), api.HeadKey, raw, p.rev)
	if err != nil {
		t.Fatal(err)
	}
	p.State, p.rev = next, rev
}

// Rev is the revision of the head.
func (p *Project) Rev() uint64 { return p.rev }

// Add makes w a member.
func (p *Project) Add(t testing.TB, w Who, r chain.Role) {
	t.Helper()
	wrap := []byte("wrapped key")
	if r == chain.Auditor {
		wrap = []byte{}
	}
	p.Do(t, chain.KindAdd, chain.AddBody{Account: w.Raw, Role: r, Wrap: wrap})
}

// GrantTo lets node run jobs for an hour.
func (p *Project) GrantTo(t testing.TB, node Who) { p.GrantKey(t, node, nil) }

// GrantKey lets node run jobs for an hour, with a key of its TPM unless that is
// nil, and for these models, ascending, or any.
func (p *Project) GrantKey(t testing.TB, node Who, key []byte, models ...id.ID) {
	t.Helper()
	b := chain.GrantBody{Node: node.Raw, NotAfter: time.Now().Add(time.Hour).Unix(), Key: key, Models: models}
	if key != nil {
		b.AKName = append([]byte{0, 11}, make([]byte, 32)...)
	}
	var err error
	if p.Grant, err = chain.GrantID(b); err != nil {
		t.Fatal(err)
	}
	p.Do(t, chain.KindGrant, b)
}

// Put uploads a blob.
func (p *Project) Put(t testing.TB, b []byte) id.ID {
	t.Helper()
	i := id.Of(b)
	if err := p.PutBlob(t.Context(), i, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return i
}

// NewJob is a job document whose blobs are there; edit changes it before it is
// signed by the owner.
func (p *Project) NewJob(t testing.TB, edit ...func(*job.JobDoc)) (raw []byte, d job.JobDoc) {
	t.Helper()
	d = job.JobDoc{V: 1, Project: p.ID(), Plan: p.Put(t, []byte("plan")), Model: p.Put(t, []byte("model")),
		Inputs: p.Put(t, []byte("inputs")), Grant: p.Grant, MinIsolation: job.IsolationProcess,
		NotAfter: time.Now().Add(time.Hour).Unix()}
	_, _ = rand.Read(d.Nonce[:])
	for _, e := range edit {
		e(&d)
	}
	raw, err := doc.Sign(job.DocType, d, p.Owner.Key)
	if err != nil {
		t.Fatal(err)
	}
	return raw, d
}

// Result is what node signs for a job when everything went well.
func Result(t testing.TB, node Who, name id.ID, d job.JobDoc, outputs id.ID) []byte {
	t.Helper()
	raw, err := doc.Sign(job.ResultType, job.Result{V: 1, Job: name, Plan: d.Plan, Model: d.Model, Inputs: d.Inputs,
		Outputs: outputs, Isolation: job.IsolationProcess, Engine: "test"}, node.Key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Manifest writes a manifest for c into its data directory and gives the
// policy that accepts it.
func Manifest(t testing.TB, c server.Config) *attest.Policy {
	t.Helper()
	events, err := server.Golden(c)
	if err != nil {
		t.Fatal(err)
	}
	return Vouch(t, c.DataDir, events)
}

// Vouch writes a manifest for events into dir and gives the policy that accepts
// it.
func Vouch(t testing.TB, dir string, events []attest.Golden) *attest.Policy {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := manifest.Sign(attest.Manifest{V: manifest.Version, Product: product, Version: 1,
		NotBefore: time.Now().Add(-time.Hour).Unix(), NotAfter: time.Now().Add(time.Hour).Unix(),
		Baselines: []attest.Baseline{{Name: "test", Events: events}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, host.ManifestFile), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return &attest.Policy{Product: product, Signers: [][]byte{pub}, Threshold: 1, MinRoot: attest.RootSoftware, MinVersion: 1}
}

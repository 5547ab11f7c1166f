package server_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// purse keeps the promises that clients were given.
type purse struct {
	mu  sync.Mutex
	raw [][]byte
}

func (p *purse) keep(_, raw []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.raw = append(p.raw, raw)
	return nil
}

func (p *purse) open(t *testing.T, key tlog.Key) (all []tlog.Promised) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, raw := range p.raw {
		got, err := tlog.OpenPromise(raw, key)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got)
	}
	return all
}

// full is a server that has taken one of each document, and the promises.
func full(t *testing.T) (*setup, *purse, id.ID) {
	t.Helper()
	got := &purse{}
	keep := func(c *api.Config) { c.OnPromise = got.keep }
	s := &setup{cfg: rt.Config(t.TempDir()), owner: rt.Person(t, "owner"), node: rt.Node(t, "node")}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	s.client, s.worker = rt.Enrolled(t, s.srv, s.owner, keep), rt.Enrolled(t, s.srv, s.node, keep)
	s.p = rt.NewProject(t, s.client, s.owner)
	s.p.GrantTo(t, s.node)
	name, d := s.submit(t)
	r := report(s.lease(t))
	out := []byte("outputs")
	if err := s.worker.Project(s.p.ID()).PutBlob(t.Context(), id.Of(out), int64(len(out)), bytes.NewReader(out)); err != nil {
		t.Fatal(err)
	}
	r.Result = rt.Result(t, s.node, name, d, id.Of(out))
	if err := s.worker.Complete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return s, got, name
}

func logKey(t *testing.T, c *api.Client) tlog.Key {
	t.Helper()
	m, err := c.Meta(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, err := tlog.ParseKey(m.Journal)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestEveryAcceptedDocumentIsPromised and later proved, with what a client has.
func TestEveryAcceptedDocumentIsPromised(t *testing.T) {
	s, got, _ := full(t)
	key := logKey(t, s.client)
	want := map[string]int{tlog.ActAccount: 2, tlog.ActProject: 1, tlog.ActLink: 1, tlog.ActJob: 1, tlog.ActResult: 1}
	seen := map[string]int{}
	for _, p := range got.open(t, key) {
		seen[p.Leaf.Action]++
		for {
			r, err := s.client.Inclusion(t.Context(), p.Hash, 0)
			if errors.Is(err, api.ErrNotFound) {
				continue // promised only
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := tlog.OpenCheckpoint(r.Checkpoint, key)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Included(r.Index, p.Hash, r.Path); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	for a, n := range want {
		if seen[a] != n {
			t.Errorf("%d promises for %s, want %d", seen[a], a, n)
		}
	}
	of, err := s.client.Object(t.Context(), tlog.Tag(tlog.KindAccount, s.owner.UID[:]), 0)
	if err != nil || len(of.Proofs) != 2 {
		t.Fatalf("%+v, %v", of, err)
	}
	l, err := tlog.OpenLeaf(of.Proofs[0].Leaf)
	if err != nil || l.Doc != tlog.DocTag(s.owner.Raw) {
		t.Errorf("%+v, %v", l, err)
	}
	all, err := s.client.Entries(t.Context(), 0, 100)
	if err != nil || len(all.Leaves) != 7 {
		t.Errorf("%d leaves, %v", len(all.Leaves), err)
	}
	for _, leaf := range all.Leaves {
		for what, secret := range map[string][]byte{"name": []byte("owner"), "uid": s.owner.UID[:], "project": hash(s.p.ID()), "document": hash(id.Of(s.owner.Raw))} {
			if bytes.Contains(leaf, secret) {
				t.Errorf("a leaf tells the %s", what)
			}
		}
	}
}

func hash(i id.ID) []byte { return i[:] }

// same holds what a server has against what it had before.
func (s *setup) same(t *testing.T, name id.ID, head id.ID) {
	t.Helper()
	c := rt.Client(t, s.srv, s.owner)
	ids, err := c.Projects(t.Context())
	if err != nil || len(ids) != 1 || ids[0] != s.p.ID() {
		t.Fatalf("projects %v, %v", ids, err)
	}
	raw, _, err := c.Project(s.p.ID()).Head(t.Context(), api.HeadKey)
	if err != nil || id.Of(raw) != head {
		t.Errorf("head %s, want %s: %v", id.Of(raw).Short(), head.Short(), err)
	}
	st, err := c.Project(s.p.ID()).Job(t.Context(), name, 0, 0)
	if err != nil || st.State != api.JobDone || st.Node != s.node.UID || len(st.Result) == 0 {
		t.Errorf("job %+v, %v", st, err)
	}
}

// TestStoreLost loses the whole store: the journal has every document.
func TestStoreLost(t *testing.T) {
	s, _, name := full(t)
	head := s.p.State.Head
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.cfg.DataDir, "store")); err != nil {
		t.Fatal(err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	s.same(t, name, head)
	m, err := rt.Client(t, s.srv, s.owner).Meta(t.Context())
	if err != nil || m.Alerts == 0 || m.LastAlert == 0 {
		t.Errorf("nobody is told: %+v, %v", m, err)
	}
}

// TestRebuild does the same by itself, and only into an empty store.
func TestRebuild(t *testing.T) {
	s, _, name := full(t)
	head := s.p.State.Head
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Rebuild(t.Context(), s.cfg, nil); !errors.Is(err, server.ErrNotEmpty) {
		t.Errorf("into a full store: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(s.cfg.DataDir, "store")); err != nil {
		t.Fatal(err)
	}
	// Links are blobs too; those of the project go as well.
	if err := os.RemoveAll(filepath.Join(s.cfg.DataDir, "blobs")); err != nil {
		t.Fatal(err)
	}
	rep, err := server.Rebuild(t.Context(), s.cfg, nil)
	if err != nil || len(rep.Lost) != 0 || rep.Restored != 7 { // two accounts, the links of one, two links as blobs, a head, a job
		t.Fatalf("%+v, %v", rep, err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	s.same(t, name, head)
	again, err := s.srv.Reconcile(context.Background(), true)
	if err != nil || again.Restored+again.Recorded+len(again.Lost) != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}

// TestOlderStore puts back a store as it was before the last link: the journal
// knows better.
func TestOlderStore(t *testing.T) {
	s := start(t)
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	older := t.TempDir()
	store := filepath.Join(s.cfg.DataDir, "store")
	if err := os.CopyFS(older, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	next := rt.Project{Project: rt.Client(t, s.srv, s.owner).Project(s.p.ID()), State: s.p.State, Owner: s.owner}
	raw, st := next.Sign(t, chain.KindPut, chain.PutBody{Index: next.Put(t, []byte("index"))})
	next.Put(t, raw)
	_, rev, err := next.Head(t.Context(), api.HeadKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.CAS(t.Context(), api.HeadKey, raw, rev); err != nil {
		t.Fatal(err)
	}
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(store), os.CopyFS(store, os.DirFS(older))); err != nil {
		t.Fatal(err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	got, _, err := rt.Client(t, s.srv, s.owner).Project(s.p.ID()).Head(t.Context(), api.HeadKey)
	if err != nil || id.Of(got) != st.Head {
		t.Errorf("head %s, want %s: %v", id.Of(got).Short(), st.Head.Short(), err)
	}
}

// TestOlderJournal is a crash between store and journal, made larger: what only
// the store has is recorded at the start, in its order.
func TestOlderJournal(t *testing.T) {
	s, _, name := full(t)
	head := s.p.State.Head
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	// The journal keeps its key and loses its leaves.
	dir := filepath.Join(s.cfg.DataDir, "journal")
	for _, part := range []string{"leaves", "tree", "bodies"} {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	s.same(t, name, head)
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.cfg.DataDir, "store")); err != nil {
		t.Fatal(err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	s.same(t, name, head)
}

// TestDamagedDocument overwrites documents of the store in place: the next
// comparison puts them back and says so.
func TestDamagedDocument(t *testing.T) {
	s, _, name := full(t)
	head := s.p.State.Head
	docs := server.Docs(s.srv)
	ruin := func(key string) {
		t.Helper()
		d, err := docs.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		d.Body[len(d.Body)/2] ^= 1
		if _, err := docs.Put(t.Context(), key, d.Body, d.Rev); err != nil {
			t.Fatal(err)
		}
	}
	ruin("accounts/" + s.owner.UID.String())
	ruin("heads/" + s.p.ID().String())
	ruin("jobs/" + s.p.ID().String() + "/" + name.String())
	rep, err := s.srv.Reconcile(t.Context(), true)
	if err != nil || rep.Restored != 3 || len(rep.Lost) != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	s.same(t, name, head)
}

// TestDamagedBody flips a bit in each body of the journal: the store has them.
func TestDamagedBody(t *testing.T) {
	s, _, _ := full(t)
	kept(t, s)
	var n int
	err := filepath.WalkDir(filepath.Join(s.cfg.DataDir, "journal", "bodies"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		raw[len(raw)/2] ^= 1
		return os.WriteFile(path, raw, 0o600)
	})
	if err != nil || n != 7 {
		t.Fatal(n, err)
	}
	rep, err := s.srv.Reconcile(t.Context(), true)
	if err != nil || rep.Kept != 7 || len(rep.Lost) != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// kept waits until all seven leaves are in the tree, and so all bodies in files.
func kept(t *testing.T, s *setup) {
	t.Helper()
	for {
		if r, err := s.client.Entries(t.Context(), 0, 10); err != nil {
			t.Fatal(err)
		} else if len(r.Leaves) >= 7 {
			return
		}
	}
}

// TestDamagedLinkBlob flips a bit in a link where members read it.
func TestDamagedLinkBlob(t *testing.T) {
	s, _, _ := full(t)
	kept(t, s)
	genesis := s.p.ID()
	var path string
	_ = filepath.WalkDir(filepath.Join(s.cfg.DataDir, "blobs"), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if raw, err := os.ReadFile(p); err == nil && id.Of(raw) == genesis {
				path = p
			}
		}
		return nil
	})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[9] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := s.srv.Reconcile(t.Context(), true)
	if err != nil || rep.Restored != 1 || len(rep.Lost) != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	if raw, err = os.ReadFile(path); err != nil || id.Of(raw) != genesis {
		t.Error("the link is still damaged")
	}
}

// TestRefusedLoginIsRecorded, without saying from where.
func TestRefusedLoginIsRecorded(t *testing.T) {
	s := start(t)
	thief := s.owner
	thief.Key = s.node.Key
	if _, err := rt.Client(t, s.srv, thief).Projects(t.Context()); !errors.Is(err, api.ErrUnauthorized) {
		t.Fatal(err)
	}
	for {
		r, err := s.client.Object(t.Context(), tlog.Tag(tlog.KindAccount, s.owner.UID[:]), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Proofs {
			if l, err := tlog.OpenLeaf(p.Leaf); err == nil && l.Action == "login-refused" {
				return
			}
		}
	}
}

// TestNoiseHidesNoAlert shows that strangers, whose refused logins fill what they may
// write into the journal, leave room for what the server itself has to say there.
func TestNoiseHidesNoAlert(t *testing.T) {
	s, _, _ := full(t)
	thief := s.owner
	thief.Key = s.node.Key
	c := open(t, s.srv)
	c.who = &thief
	for range 70 {
		if rsp := c.login(t, c, c.nonce(t)); rsp.StatusCode == 200 {
			t.Fatal("let in")
		}
	}
	docs := server.Docs(s.srv)
	d, err := docs.Get(t.Context(), "heads/"+s.p.ID().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := docs.Put(t.Context(), d.Key, d.Body[:9], d.Rev); err != nil {
		t.Fatal(err)
	}
	if rep, err := s.srv.Reconcile(t.Context(), false); err != nil || rep.Restored != 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	pid := s.p.ID()
	tag := tlog.Tag(tlog.KindProject, pid[:])
	for {
		r, err := s.client.Object(ctx, tag, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Proofs {
			if l, err := tlog.OpenLeaf(p.Leaf); err == nil && l.Action == "alert-restored" {
				return
			}
		}
	}
}

// TestTilesAreServed as C2SP tlog-tiles has them, and nothing else.
func TestTilesAreServed(t *testing.T) {
	s, _, _ := full(t)
	kept(t, s)
	c := connect(t, s.srv, s.owner)
	for path, want := range map[string]int{
		"/v1/journal/tile/0/000.p/7":                             200,
		"/v1/journal/tile/entries/000.p/7":                       200,
		"/v1/journal/tile/0/001":                                 404,
		"/v1/journal/tile/0/..%2f..%2f.state":                    400,
		"/v1/journal/tile/entries/000.p/7/x":                     400,
		"/v1/journal/tile/.state/treeState":                      400,
		"/v1/journal/proof/inclusion?leaf=x":                     400,
		"/v1/journal/proof/consistency?from=-":                   400,
		"/v1/journal/proof/consistency?from=9":                   404,
		"/v1/journal/entries?from=0&n=" + "99999999999999999999": 400,
	} {
		if got := c.do(t, "GET", path, nil).StatusCode; got != want {
			t.Errorf("%s: status %d, want %d", path, got, want)
		}
	}
}

package server_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// calendar is a clock that tests move by days.
type calendar struct {
	mu sync.Mutex
	t  time.Time
}

func (c *calendar) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *calendar) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const grace = 30 * 24 * time.Hour

// collector is a project, its server and its owner, who share a clock.
type collector struct {
	*setup
	clock *calendar
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{clock: &calendar{t: time.Now()}}
	c.setup = &setup{cfg: rt.Config(t.TempDir()), owner: rt.Person(t, "owner"), node: rt.Node(t, "node")}
	c.srv = rt.Start(t, server.Options{Config: c.cfg, Now: c.clock.now})
	c.client, c.worker = rt.Enrolled(t, c.srv, c.owner, c.timed), rt.Enrolled(t, c.srv, c.node, c.timed)
	c.p = rt.NewProject(t, c.client, c.owner)
	c.p.GrantTo(t, c.node)
	return c
}

func (c *collector) timed(cfg *api.Config) { cfg.Now = c.clock.now }

func (c *collector) reopen(t *testing.T) {
	t.Helper()
	c.cfg.Listen = c.srv.Addr()
	if err := c.srv.Close(); err != nil {
		t.Fatal(err)
	}
	c.srv = rt.Start(t, server.Options{Config: c.cfg, Now: c.clock.now})
}

// live signs that ids are what is needed.
func (c *collector) live(t *testing.T, ids ...id.ID) []byte {
	t.Helper()
	slices.SortFunc(ids, id.Compare)
	var lists []id.ID
	for _, b := range chain.LiveLists(ids) {
		lists = append(lists, c.p.Put(t, b))
	}
	raw, err := c.p.State.SignLive(lists, len(ids), c.owner.UID, c.owner.Key, c.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (c *collector) collect(t *testing.T, dry bool, ids ...id.ID) api.CollectReply {
	t.Helper()
	r, err := c.p.Collect(t.Context(), c.live(t, ids...), dry)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (c *collector) want(t *testing.T, what string, there bool, ids ...id.ID) {
	t.Helper()
	for _, i := range ids {
		r, err := c.p.GetBlob(t.Context(), i, 0, -1)
		if err == nil {
			err = r.Close()
		}
		if there && err != nil || !there && !errors.Is(err, api.ErrNotFound) {
			t.Errorf("%s: %s: want there %v: %v", what, i.Short(), there, err)
		}
	}
}

// TestCollect takes a project through the life of a blob that nothing names.
func TestCollect(t *testing.T) {
	c := newCollector(t)
	kept, dead := c.p.Put(t, []byte("kept")), c.p.Put(t, []byte("dead"))
	batch := c.p.Put(t, []byte("batch"))
	set, err := doc.Encode(job.BatchSet{V: 1, Batches: []id.ID{batch}})
	if err != nil {
		t.Fatal(err)
	}
	inputs := c.p.Put(t, set)
	raw, d := c.p.NewJob(t, func(d *job.JobDoc) { d.Inputs = inputs })
	if _, err := c.p.SubmitJob(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	ofJob := []id.ID{d.Plan, d.Model, inputs, batch}
	index := c.p.Put(t, []byte("index"))
	c.p.Do(t, chain.KindPut, chain.PutBody{Index: index})
	links := []id.ID{c.p.State.Head, c.p.State.Project, index}

	if r := c.collect(t, true, kept); !r.Dry || r.Deleted != 0 || r.Marked == 0 {
		t.Errorf("dry: %+v", r)
	}
	if have, err := c.p.Have(t.Context(), []id.ID{dead}); err != nil || !have[0] {
		t.Errorf("a dry run marked something: %v, %v", have, err)
	}
	if r := c.collect(t, false, kept); r.Deleted != 0 {
		t.Errorf("first: %+v", r)
	}
	have, err := c.p.Have(t.Context(), []id.ID{dead, kept, batch, index})
	if err != nil || !slices.Equal(have, []bool{false, true, true, true}) {
		t.Errorf("after the mark: have %v, %v", have, err)
	}
	c.want(t, "marked", true, dead)

	c.clock.pass(grace - time.Hour)
	c.collect(t, false, kept)
	c.want(t, "an hour before the grace ends", true, dead)

	c.reopen(t)
	c.clock.pass(2 * time.Hour)
	if r := c.collect(t, true, kept); r.Deleted == 0 {
		t.Errorf("dry, after the grace: %+v", r)
	}
	c.want(t, "after the dry run", true, dead)
	if r := c.collect(t, false, kept); r.Deleted == 0 || r.DeletedBytes == 0 {
		t.Errorf("after the grace: %+v", r)
	}
	c.want(t, "after the grace", false, dead)
	c.want(t, "named", true, append(append(ofJob, links...), kept)...)
}

// TestCollectSpares shows what saves a marked blob: that somebody puts it
// again, that a job comes to name it, that the owner needs it again.
func TestCollectSpares(t *testing.T) {
	c := newCollector(t)
	put, named, needed, dead := c.p.Put(t, []byte("put")), c.p.Put(t, []byte("named")), c.p.Put(t, []byte("needed")), c.p.Put(t, []byte("dead"))
	c.collect(t, false)
	raw, _ := c.p.NewJob(t, func(d *job.JobDoc) { d.Model = named })
	if _, err := c.p.SubmitJob(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	c.clock.pass(grace - time.Hour)
	c.p.Put(t, []byte("put"))
	c.collect(t, false, needed)
	c.clock.pass(2 * time.Hour)
	c.collect(t, false)
	c.want(t, "spared", true, put, named, needed)
	c.want(t, "not spared", false, dead)
}

// TestCollectRefuses tries lists of which nothing may be deleted.
func TestCollectRefuses(t *testing.T) {
	c := newCollector(t)
	admin, second := rt.Person(t, "admin"), rt.Person(t, "second owner")
	c.p.Add(t, admin, chain.Admin)
	c.p.Add(t, second, chain.Owner)
	blob := c.p.Put(t, []byte("blob"))
	old := c.live(t, blob)
	c.p.Put(t, []byte("index"))
	c.p.Do(t, chain.KindPut, chain.PutBody{Index: id.Of([]byte("index"))})
	list := c.p.Put(t, blob[:])
	sign := func(who rt.Who, edit func(*chain.Live)) []byte {
		l := chain.Live{V: 1, Project: c.p.State.Project, Seq: c.p.State.Seq, Head: c.p.State.Head, Author: who.UID,
			Time: c.clock.now().UnixMilli(), Count: 1, Lists: []id.ID{list}}
		edit(&l)
		raw, err := doc.Sign(chain.LiveType, l, who.Key)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	same := func(*chain.Live) {}
	for name, c2 := range map[string]struct {
		raw  []byte
		want error
	}{
		"of an older head":       {old, api.ErrConflict},
		"by an admin":            {sign(admin, same), api.ErrForbidden},
		"by another owner":       {sign(second, same), api.ErrForbidden},
		"by another's key":       {sign(second, func(l *chain.Live) { l.Author = c.owner.UID }), api.ErrInvalid},
		"of another project":     {sign(c.owner, func(l *chain.Live) { l.Project = blob }), api.ErrInvalid},
		"of yesterday":           {sign(c.owner, func(l *chain.Live) { l.Time -= 86400_000 }), api.ErrInvalid},
		"of tomorrow":            {sign(c.owner, func(l *chain.Live) { l.Time += 86400_000 }), api.ErrInvalid},
		"of another version":     {sign(c.owner, func(l *chain.Live) { l.V = 2 }), api.ErrInvalid},
		"with a list cut short":  {sign(c.owner, func(l *chain.Live) { l.Count = 2 }), api.ErrInvalid},
		"with a list twice":      {sign(c.owner, func(l *chain.Live) { l.Lists = append(l.Lists, list); l.Count = 2 }), api.ErrInvalid},
		"with a list that is no": {sign(c.owner, func(l *chain.Live) { l.Lists[0] = c.p.Put(t, []byte("x")) }), api.ErrInvalid},
		"with a list not there":  {sign(c.owner, func(l *chain.Live) { l.Lists[0] = id.Of([]byte("gone")) }), api.ErrNotFound},
		"garbage":                {[]byte("garbage"), api.ErrInvalid},
	} {
		if _, err := c.p.Collect(t.Context(), c2.raw, false); !errors.Is(err, c2.want) {
			t.Errorf("%s: %v, want %v", name, err, c2.want)
		}
	}
	have, err := c.p.Have(t.Context(), []id.ID{blob})
	if err != nil || !have[0] {
		t.Errorf("a refused list marked something: %v, %v", have, err)
	}
	if _, err := c.p.Collect(t.Context(), sign(c.owner, same), false); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

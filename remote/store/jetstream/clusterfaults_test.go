package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/remote/store"
	"cipherdeck/remote/store/faulttest"
	"cipherdeck/remote/store/jetstream"
	"cipherdeck/remote/store/storetest"
)

// load is what goes on while servers die: clients whose history is checked,
// writers of documents and jobs, and workers.
type load struct {
	history *storetest.History
	stop    context.CancelFunc
	all     sync.WaitGroup

	mu        sync.Mutex
	acked     map[string]store.Rev
	jobs      map[string]bool
	delivered map[string]int
}

// begin starts the load with a client of each kind at each server, and one
// that may go to any.
func (c *cluster) begin(t *testing.T) *load {
	ctx, stop := context.WithCancel(t.Context())
	l := &load{history: storetest.NewHistory(), stop: stop, acked: map[string]store.Rev{}, jobs: map[string]bool{}, delivered: map[string]int{}}
	engines := []*jetstream.Engine{c.open(t, 2*time.Second), c.open(t, 2*time.Second, 0), c.open(t, 2*time.Second, 1), c.open(t, 2*time.Second, 2)}
	for id, e := range engines {
		l.all.Go(func() { l.history.Client(ctx, id, 1<<30, slow{e.Docs()}) })
	}
	any := engines[0]
	l.all.Go(func() { l.write(ctx, any) })
	for range 2 {
		l.all.Go(func() { l.work(ctx, any) })
	}
	return l
}

// slow keeps a history short enough to be checked, and asks no server that is
// down a thousand times a second.
type slow struct{ store.Docs }

func (s slow) Get(ctx context.Context, key string) (store.Doc, error) {
	pace(ctx)
	return s.Docs.Get(ctx, key)
}

func (s slow) Put(ctx context.Context, key string, body []byte, prev store.Rev) (store.Rev, error) {
	pace(ctx)
	return s.Docs.Put(ctx, key, body, prev)
}

func pace(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(15 * time.Millisecond):
	}
}

// write makes documents and jobs, and notes what was acknowledged.
func (l *load) write(ctx context.Context, e *jetstream.Engine) {
	for n := 0; ctx.Err() == nil; n++ {
		pace(ctx)
		key := fmt.Sprintf("load/%d", n)
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		rev, err := e.Docs().Put(one, key, []byte(key), 0)
		if err == nil {
			l.mu.Lock()
			l.acked[key] = rev
			l.mu.Unlock()
		}
		job := fmt.Sprintf("job%d", n)
		if e.Queue().Enqueue(one, "cpu", job) == nil {
			l.mu.Lock()
			l.jobs[job] = true
			l.mu.Unlock()
		}
		cancel()
	}
}

// work does jobs. The effect of one is a document that can be made only once.
func (l *load) work(ctx context.Context, e *jetstream.Engine) {
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		lease, err := e.Queue().Lease(one, "cpu", time.Second)
		if err == nil {
			_, err = e.Docs().Put(one, "effect/"+lease.Job, []byte(lease.Job), 0)
			l.mu.Lock()
			l.delivered[lease.Job]++
			l.mu.Unlock()
			if err == nil || errors.Is(err, store.ErrConflict) {
				_ = e.Queue().Done(one, lease) // when it is lost, the job comes again and has no effect
			}
		} else {
			pace(ctx)
		}
		cancel()
	}
}

// end stops the load and holds the store against what was acknowledged.
func (l *load) end(t *testing.T, c *cluster) {
	t.Helper()
	l.stop()
	l.all.Wait()
	e := c.open(t, time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l.settle(ctx, t, e)
	doubled := 0
	wanted := map[string]store.Doc{}
	for key, rev := range l.acked {
		wanted[key] = store.Doc{Key: key, Rev: rev, Body: []byte(key)}
	}
	for job := range l.jobs {
		wanted["effect/"+job] = store.Doc{Body: []byte(job)}
	}
	lost := missing(t, e.Docs(), wanted)
	for _, n := range l.delivered {
		doubled += n - 1
	}
	if err := l.history.Verdict(); err != nil {
		t.Error(err)
	}
	t.Logf("%d documents and %d jobs acknowledged, %d lost; %d jobs handed out again, none had a second effect; history: %s",
		len(l.acked), len(l.jobs), lost, doubled, l.history.Counts())
}

// missing counts the documents that are not as they should be, at a revision
// if one is given.
func missing(t *testing.T, docs store.Docs, wanted map[string]store.Doc) int {
	t.Helper()
	var lost atomic.Int64
	var all sync.WaitGroup
	hands := make(chan bool, 16)
	for key, want := range wanted {
		hands <- true
		all.Go(func() {
			defer func() { <-hands }()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			d, err := docs.Get(ctx, key)
			if err != nil || want.Rev != 0 && d.Rev != want.Rev || !bytes.Equal(d.Body, want.Body) {
				lost.Add(1)
				t.Errorf("lost: %s at %d: %+v, %v", key, want.Rev, d, err)
			}
		})
	}
	all.Wait()
	return int(lost.Load())
}

// settle does what is left in the queue.
func (l *load) settle(ctx context.Context, t *testing.T, e *jetstream.Engine) {
	for {
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		lease, err := e.Queue().Lease(one, "cpu", 3*time.Second)
		cancel()
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("settle: %v", err)
		}
		if err != nil {
			pace(ctx) // its leaders are not all elected yet
			continue
		}
		if _, err := e.Docs().Put(ctx, "effect/"+lease.Job, []byte(lease.Job), 0); err != nil && !errors.Is(err, store.ErrConflict) {
			continue // the lease ends and the job comes again
		}
		_ = e.Queue().Done(ctx, lease)
		l.delivered[lease.Job]++
	}
}

// wait lets the load go on until n more documents were acknowledged.
func (l *load) wait(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	over, tick, from := time.After(patience), time.Tick(20*time.Millisecond), count()
	for count() < from+n {
		select {
		case <-tick:
		case <-over:
			t.Fatalf("nothing is acknowledged any more after %d documents", count())
		}
	}
}

// TestClusterKills kills servers at random under load.
func TestClusterKills(t *testing.T) {
	rounds := faulttest.Rounds(t, 2, 6)
	c := newCluster(t)
	l := c.begin(t)
	rnd := rand.New(rand.NewPCG(3, 5))
	for range rounds {
		l.wait(t, 30)
		n := rnd.IntN(size)
		c.kill(t, n)
		l.wait(t, 20) // two of three go on
		c.start(t, n)
	}
	l.wait(t, 20)
	l.end(t, c)
}

// TestWholeClusterKilled kills all servers at once under load.
func TestWholeClusterKilled(t *testing.T) {
	rounds := faulttest.Rounds(t, 1, 3)
	c := newCluster(t)
	l := c.begin(t)
	for range rounds {
		l.wait(t, 40)
		for n := range size {
			c.kill(t, n)
		}
		for n := range size {
			c.start(t, n)
		}
	}
	l.wait(t, 20)
	l.end(t, c)
}

// TestPartition cuts each server off from the two others in turn; clients at
// it go on asking. Nothing that was acknowledged may be lost, and nobody may be
// told what was.
func TestPartition(t *testing.T) {
	rounds := faulttest.Rounds(t, 1, 6)
	c := newCluster(t)
	l := c.begin(t)
	for round := range rounds {
		l.wait(t, 30)
		n := c.leader(t)
		if round%2 == 1 {
			n = (n + 1) % size
		}
		c.part(n)
		l.wait(t, 20)
		c.heal(n)
	}
	l.wait(t, 20)
	l.end(t, c)
}

// leader is the server that leads the documents.
func (c *cluster) leader(t *testing.T) int {
	t.Helper()
	s, err := c.admin(t).Stream(t.Context(), "KV_docs")
	if err != nil {
		t.Fatal(err)
	}
	for n, node := range c.nodes {
		if node.name == s.CachedInfo().Cluster.Leader {
			return n
		}
	}
	t.Fatal("no leader")
	return 0
}

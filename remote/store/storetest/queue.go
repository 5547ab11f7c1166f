package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"cipherdeck/remote/store"
)

func testOnce(t *testing.T, e Engines) {
	none(t, e.Queue, "cpu")
	enqueue(t, e.Queue, "cpu", "job1", "job2")
	a, b := lease(t, e.Queue, "cpu"), lease(t, e.Queue, "cpu")
	if a.Job != "job1" || b.Job != "job2" || a.Attempt != 1 || b.Attempt != 1 || a.Token == "" || a.Token == b.Token {
		t.Errorf("got %+v and %+v", a, b)
	}
	wantErr(t, "done", e.Queue.Done(t.Context(), a), nil)
	wantErr(t, "done again", e.Queue.Done(t.Context(), a), store.ErrLease)
	_, err := e.Queue.Extend(t.Context(), a)
	wantErr(t, "extend after done", err, store.ErrLease)
	forged := b
	forged.Token = "forged"
	wantErr(t, "done with a forged token", e.Queue.Done(t.Context(), forged), store.ErrLease)
	forged.Token = ""
	wantErr(t, "done without a token", e.Queue.Done(t.Context(), forged), store.ErrLease)
	swapped := b
	swapped.Job = "job1"
	wantErr(t, "done of another job", e.Queue.Done(t.Context(), swapped), store.ErrLease)
	wantErr(t, "done", e.Queue.Done(t.Context(), b), nil)
	none(t, e.Queue, "cpu")
}

func testIdempotent(t *testing.T, e Engines) {
	enqueue(t, e.Queue, "cpu", "job", "job", "job")
	l := lease(t, e.Queue, "cpu")
	enqueue(t, e.Queue, "cpu", "job") // it is leased, so it is there
	wantErr(t, "done", e.Queue.Done(t.Context(), l), nil)
	none(t, e.Queue, "cpu")
	enqueue(t, e.Queue, "cpu", "job") // after it is done it is new
	if l := lease(t, e.Queue, "cpu"); l.Attempt != 1 {
		t.Errorf("attempt %d, want 1", l.Attempt)
	}
}

func testExpiry(t *testing.T, e Engines) {
	enqueue(t, e.Queue, "cpu", "job")
	old := lease(t, e.Queue, "cpu")
	again := lease(t, e.Queue, "cpu") // comes when the first has expired
	if again.Job != "job" || again.Attempt != 2 || again.Token == old.Token {
		t.Errorf("got %+v after %+v", again, old)
	}
	_, err := e.Queue.Extend(t.Context(), old)
	wantErr(t, "extend of the old lease", err, store.ErrLease)
	wantErr(t, "done of the old lease", e.Queue.Done(t.Context(), old), store.ErrLease)
	wantErr(t, "retry of the old lease", e.Queue.Retry(t.Context(), old, 0, "late"), store.ErrLease)
	wantErr(t, "done", e.Queue.Done(t.Context(), again), nil)
}

// testExtend extends one of two leases again and again, until the other job,
// which nobody extends, comes back.
func testExtend(t *testing.T, e Engines) {
	enqueue(t, e.Queue, "cpu", "kept", "left")
	kept := lease(t, e.Queue, "cpu")
	lease(t, e.Queue, "cpu")
	for {
		later, err := e.Queue.Extend(t.Context(), kept)
		if err != nil || later.Until.Before(kept.Until) || later.Token != kept.Token || later.Attempt != 1 {
			t.Fatalf("extended %+v to %+v, %v", kept, later, err)
		}
		kept = later
		l, err := e.Queue.Lease(t.Context(), "cpu", 50*time.Millisecond)
		if err == nil && l.Job == "left" {
			break
		}
		wantErr(t, "lease while one is extended", err, store.ErrNotFound)
	}
	wantErr(t, "done after extend", e.Queue.Done(t.Context(), kept), nil)
}

func testRetry(t *testing.T, e Engines) {
	enqueue(t, e.Queue, "cpu", "job")
	first := lease(t, e.Queue, "cpu")
	wantErr(t, "retry", e.Queue.Retry(t.Context(), first, 0, "node stops"), nil)
	wantErr(t, "done after retry", e.Queue.Done(t.Context(), first), store.ErrLease)
	again := lease(t, e.Queue, "cpu")
	if again.Job != "job" || again.Attempt != 2 {
		t.Errorf("got %+v", again)
	}
	wantErr(t, "done", e.Queue.Done(t.Context(), again), nil)
}

// testRest gives two jobs back. The one that rests must not come before the
// one that does not, and must come.
func testRest(t *testing.T, e Engines) {
	enqueue(t, e.Queue, "cpu", "rests", "ready")
	rests, ready := lease(t, e.Queue, "cpu"), lease(t, e.Queue, "cpu")
	begin := time.Now()
	wantErr(t, "retry", e.Queue.Retry(t.Context(), rests, short, "no room"), nil)
	wantErr(t, "done while it rests", e.Queue.Done(t.Context(), rests), store.ErrLease)
	wantErr(t, "retry", e.Queue.Retry(t.Context(), ready, 0, "node stops"), nil)
	if l := lease(t, e.Queue, "cpu"); l.Job != "ready" {
		t.Errorf("got %+v first, want the job that does not rest", l)
	}
	enqueue(t, e.Queue, "cpu", "rests") // it is there
	l := lease(t, e.Queue, "cpu")
	if slept := time.Since(begin); l.Job != "rests" || l.Attempt != 2 || slept < short {
		t.Errorf("got %+v after %v, want no lease before %v", l, slept, short)
	}
	wantErr(t, "done", e.Queue.Done(t.Context(), l), nil)
	none(t, e.Queue, "cpu")
}

func testDead(t *testing.T, e Engines) {
	enqueue(t, e.Queue, "cpu", "poison", "good", "bad")
	dead := func() (all []store.DeadJob) {
		for d, err := range e.Queue.Dead(t.Context(), "cpu") {
			wantErr(t, "list of the dead", err, nil)
			all = append(all, d)
		}
		return all
	}
	wantErr(t, "retry", e.Queue.Retry(t.Context(), lease(t, e.Queue, "cpu"), 0, "crashed"), nil)
	for range 3 {
		l := lease(t, e.Queue, "cpu")
		if l.Job == "good" {
			wantErr(t, "done", e.Queue.Done(t.Context(), l), nil)
			continue
		}
		wantErr(t, "bury", e.Queue.Bury(t.Context(), l, "it kills "+l.Job), nil)
		wantErr(t, "bury again", e.Queue.Bury(t.Context(), l, ""), store.ErrLease)
		wantErr(t, "extend of a dead job", extend(t, e.Queue, l), store.ErrLease)
	}
	none(t, e.Queue, "cpu")
	if e.Reopen != nil {
		e = e.Reopen(t)
	}
	wanted := []store.DeadJob{{Job: "bad", Attempt: 1, Why: "it kills bad"}, {Job: "poison", Attempt: 2, Why: "it kills poison"}}
	if got := dead(); !slices.Equal(got, wanted) {
		t.Errorf("dead: %+v, want %+v", got, wanted)
	}
	for d := range e.Queue.Dead(t.Context(), "gpu") {
		t.Errorf("another class has %+v", d)
	}
	enqueue(t, e.Queue, "cpu", "poison")
	if got := dead(); len(got) != 1 || got[0].Job != "bad" {
		t.Errorf("dead after one was enqueued again: %+v", got)
	}
	if l := lease(t, e.Queue, "cpu"); l.Job != "poison" || l.Attempt != 1 {
		t.Errorf("got %+v, want a new job", l)
	}
}

func extend(t *testing.T, q store.Queue, l store.Lease) error {
	_, err := q.Extend(t.Context(), l)
	return err
}

func testClasses(t *testing.T, e Engines) {
	enqueue(t, e.Queue, "gpu", "job")
	none(t, e.Queue, "cpu")
	if l := lease(t, e.Queue, "gpu"); l.Job != "job" {
		t.Errorf("got %+v", l)
	}
	for _, bad := range []string{"", "a/b", "a.b", "*"} {
		wantErr(t, "class "+bad, e.Queue.Enqueue(t.Context(), bad, "job"), store.ErrKey)
		wantErr(t, "job "+bad, e.Queue.Enqueue(t.Context(), "cpu", bad), store.ErrKey)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Queue.Lease(ctx, "cpu", patience)
	wantErr(t, "lease with a context that ended", err, context.Canceled)
}

// testMany holds more leases at once than a queue's default may allow.
func testMany(t *testing.T, e Engines) {
	const n = 1100
	for i := range n {
		enqueue(t, e.Queue, "many", fmt.Sprintf("job%d", i))
	}
	seen := map[string]bool{}
	for range n {
		l := lease(t, e.Queue, "many")
		seen[l.Job] = true
	}
	if len(seen) != n {
		t.Errorf("%d jobs leased, want %d", len(seen), n)
	}
}

func testQueueKept(t *testing.T, e Engines) {
	if e.Reopen == nil {
		t.Skip("the engine keeps nothing")
	}
	enqueue(t, e.Queue, "cpu", "job1", "job2", "job3")
	held, done := lease(t, e.Queue, "cpu"), lease(t, e.Queue, "cpu")
	wantErr(t, "done", e.Queue.Done(t.Context(), done), nil)
	e = e.Reopen(t)
	err := awake(t, func() error { _, err := e.Queue.Extend(t.Context(), held); return err })
	if err != nil {
		t.Errorf("the lease did not outlive the engine: %v", err)
	}
	wantErr(t, "done", awake(t, func() error { return e.Queue.Done(t.Context(), held) }), nil)
	enqueue(t, e.Queue, "cpu", "job3")
	l := lease(t, e.Queue, "cpu")
	if l.Job != "job3" {
		t.Errorf("got %+v, want job3", l)
	}
	wantErr(t, "done", e.Queue.Done(t.Context(), l), nil)
	none(t, e.Queue, "cpu")
}

// awake asks again while an engine that was just opened is not available: the
// servers of a cluster choose a leader first. It gives up after half a minute.
func awake(t *testing.T, ask func() error) error {
	t.Helper()
	end := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		select {
		case <-end:
			return err
		case <-tick.C:
		}
	}
}

func enqueue(t *testing.T, q store.Queue, class string, jobs ...string) {
	t.Helper()
	for _, j := range jobs {
		if err := q.Enqueue(t.Context(), class, j); err != nil {
			t.Fatalf("enqueue %s: %v", j, err)
		}
	}
}

func lease(t *testing.T, q store.Queue, class string) store.Lease {
	t.Helper()
	l, err := q.Lease(t.Context(), class, patience)
	if err != nil {
		t.Fatalf("lease of class %s: %v", class, err)
	}
	return l
}

func none(t *testing.T, q store.Queue, class string) {
	t.Helper()
	l, err := q.Lease(t.Context(), class, 0)
	if err == nil {
		t.Errorf("leased %+v, want nothing", l)
		return
	}
	wantErr(t, "lease", err, store.ErrNotFound)
}

package mem

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"cipherdeck/remote/store"
)

// Queue is a queue of work in memory.
type Queue struct {
	length  time.Duration
	now     func() time.Time
	mu      sync.Mutex
	items   []*item // in the order in which they were enqueued
	dead    []*item
	changed chan struct{}
}

type item struct {
	class, job string
	token      string    // "" while it waits
	until      time.Time // the end of its lease, or of its rest
	attempt    int
	why        string
}

var _ store.Queue = (*Queue)(nil)

// NewQueue is an empty queue whose leases last for length.
func NewQueue(length time.Duration, now func() time.Time) *Queue {
	return &Queue{length: length, now: now, changed: make(chan struct{})}
}

// Enqueue adds a job of a class unless it is there already.
func (q *Queue) Enqueue(ctx context.Context, class, job string) error {
	for _, name := range []string{class, job} {
		if err := begin(ctx, name); err != nil {
			return err
		}
		if strings.Contains(name, "/") {
			return fmt.Errorf("%w: %q has more than one segment", store.ErrKey, name)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.find(job) < 0 {
		q.dead = slices.DeleteFunc(q.dead, func(it *item) bool { return it.class == class && it.job == job })
		q.items = append(q.items, &item{class: class, job: job})
		q.tell()
	}
	return nil
}

// Lease takes the oldest job of class that nobody holds, waiting for one.
func (q *Queue) Lease(ctx context.Context, class string, wait time.Duration) (store.Lease, error) {
	if err := begin(ctx, class); err != nil {
		return store.Lease{}, err
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		l, next, changed := q.take(class)
		if l.Job != "" {
			return l, nil
		}
		expiry := time.NewTimer(next)
		select {
		case <-ctx.Done():
			expiry.Stop()
			return store.Lease{}, ctx.Err()
		case <-over.C:
			expiry.Stop()
			return store.Lease{}, fmt.Errorf("no job of class %s: %w", class, store.ErrNotFound)
		case <-changed:
		case <-expiry.C:
		}
		expiry.Stop()
	}
}

// take leases a job; without one it says when the next lease expires.
func (q *Queue) take(class string) (l store.Lease, next time.Duration, changed chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	next = time.Hour
	for _, it := range q.items {
		if it.class != class {
			continue
		}
		if left := it.until.Sub(q.now()); left > 0 {
			next = min(next, left)
			continue
		}
		it.token, it.until = rand.Text(), q.now().Add(q.length)
		it.attempt++
		return it.lease(), 0, nil
	}
	return l, next, q.changed
}

// Extend makes the lease last for its full length from now.
func (q *Queue) Extend(ctx context.Context, l store.Lease) (store.Lease, error) {
	var out store.Lease
	err := q.held(ctx, l, func(n int) {
		q.items[n].until = q.now().Add(q.length)
		out = q.items[n].lease()
	})
	return out, err
}

// Done takes the job out of the queue.
func (q *Queue) Done(ctx context.Context, l store.Lease) error {
	return q.held(ctx, l, func(n int) { q.items = slices.Delete(q.items, n, n+1) })
}

// Retry gives the job back, to be leased not before after.
func (q *Queue) Retry(ctx context.Context, l store.Lease, after time.Duration, why string) error {
	return q.held(ctx, l, func(n int) {
		it := q.items[n]
		it.token, it.why, it.until = "", why, q.now().Add(after)
		q.tell()
	})
}

// Bury gives the job up.
func (q *Queue) Bury(ctx context.Context, l store.Lease, why string) error {
	return q.held(ctx, l, func(n int) {
		it := q.items[n]
		it.why = why
		q.items = slices.Delete(q.items, n, n+1)
		q.dead = append(q.dead, it)
	})
}

// Dead lists what was given up.
func (q *Queue) Dead(ctx context.Context, class string) iter.Seq2[store.DeadJob, error] {
	return func(yield func(store.DeadJob, error) bool) {
		if err := begin(ctx, class); err != nil {
			yield(store.DeadJob{}, err)
			return
		}
		for _, j := range q.buried(class) {
			if !yield(j, nil) {
				return
			}
		}
	}
}

func (q *Queue) buried(class string) (all []store.DeadJob) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.dead {
		if it.class == class {
			all = append(all, store.DeadJob{Job: it.job, Attempt: it.attempt, Why: it.why})
		}
	}
	slices.SortFunc(all, func(a, b store.DeadJob) int { return strings.Compare(a.Job, b.Job) })
	return all
}

func (q *Queue) held(ctx context.Context, l store.Lease, do func(n int)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.find(l.Job)
	if n < 0 || q.items[n].token == "" || q.items[n].token != l.Token {
		return fmt.Errorf("job %s: %w", l.Job, store.ErrLease)
	}
	do(n)
	return nil
}

func (q *Queue) find(job string) int {
	return slices.IndexFunc(q.items, func(it *item) bool { return it.job == job })
}

func (q *Queue) tell() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (it *item) lease() store.Lease {
	return store.Lease{Job: it.job, Token: it.token, Until: it.until, Attempt: it.attempt}
}

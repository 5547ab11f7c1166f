package jetstream

import (
	"context"
	"sync"
)

// rounds lets those who ask for the same key share an answer. Who comes while
// a round is under way waits for the next one: what is under way may have been
// answered before he asked.
type rounds struct {
	mu      sync.Mutex
	running map[string]bool
	next    map[string]*round
}

// round is one answer for all who wait for it.
type round struct {
	done  chan struct{}
	entry entry
	err   error
}

// join waits for a round that begins after the call. The round itself goes on
// when one of those who wait for it leaves.
func (r *rounds) join(ctx context.Context, key string, run func() (entry, error)) (entry, error) {
	w := r.enter(key, run)
	select {
	case <-w.done:
		return w.entry, w.err
	case <-ctx.Done():
		return entry{}, ctx.Err()
	}
}

func (r *rounds) enter(key string, run func() (entry, error)) *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.running, r.next = map[string]bool{}, map[string]*round{}
	}
	w := r.next[key]
	if w == nil {
		w = &round{done: make(chan struct{})}
		r.next[key] = w
	}
	if !r.running[key] {
		r.running[key] = true
		go r.drive(key, run)
	}
	return w
}

// drive runs the rounds of a key until nobody waits for one.
func (r *rounds) drive(key string, run func() (entry, error)) {
	for {
		w := r.leave(key)
		if w == nil {
			return
		}
		w.entry, w.err = run()
		close(w.done)
	}
}

// leave closes the next round to others; nil when there is none.
func (r *rounds) leave(key string) *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.next[key]
	delete(r.next, key)
	if w == nil {
		delete(r.running, key)
	}
	return w
}

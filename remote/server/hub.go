package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"cipherdeck/remote/store"
)

// hub wakes those who wait for a job to change. It follows the store, not the
// handlers, so a change made by another server is seen as well.
type hub struct {
	mu      sync.Mutex
	waiting map[string]*room
}

type room struct {
	changed chan struct{}
	guests  int
}

func newHub() *hub { return &hub{waiting: map[string]*room{}} }

// wait gives a channel that is closed at the next change of key. Call leave in
// any case. Ask for it before reading the document: then no change is missed.
func (h *hub) wait(key string) (changed <-chan struct{}, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.waiting[key]
	if !ok {
		r = &room{changed: make(chan struct{})}
		h.waiting[key] = r
	}
	r.guests++
	return r.changed, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.guests--; r.guests == 0 && h.waiting[key] == r {
			delete(h.waiting, key)
		}
	}
}

func (h *hub) tell(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r, ok := h.waiting[key]; ok {
		close(r.changed)
		delete(h.waiting, key)
	}
}

// follow tells of every change below prefix until ctx ends.
func (h *hub) follow(ctx context.Context, docs store.Docs, prefix string, log *slog.Logger) {
	var seen store.Rev // after a break it goes on from here, and misses nothing
	for ctx.Err() == nil {
		for d, err := range docs.Watch(ctx, prefix, seen) {
			if err != nil {
				log.Error("cannot follow the store", "prefix", prefix, "err", err)
				if errors.Is(err, store.ErrRewound) {
					seen = 0
				}
				break
			}
			seen = d.Rev
			h.tell(d.Key)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

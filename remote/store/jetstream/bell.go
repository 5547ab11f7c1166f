package jetstream

import (
	"context"
	"fmt"
	"time"

	"cipherdeck/remote/store"
)

// bell wakes those who wait for the first job of a class.
type bell struct {
	rung   chan struct{}
	guests int
}

// first waits until the class has a consumer or a job to make one for;
// store.ErrNotFound when none came.
func (q *queue) first(ctx context.Context, class string, wait time.Duration) error {
	rung, leave := q.listen(class)
	defer leave()
	if rung == nil {
		return nil
	}
	has, err := q.any(ctx, class)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if has {
		return nil
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-rung:
		return nil
	case <-q.closed:
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	case <-ctx.Done():
		return ctx.Err()
	case <-over.C:
		return fmt.Errorf("no job: %w", store.ErrNotFound)
	}
}

// listen gives the bell of a class, nil when the class has a consumer. Listen
// before looking for a job: then none is missed.
func (q *queue) listen(class string) (rung <-chan struct{}, leave func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.classes[class]; ok {
		return nil, func() {}
	}
	b, ok := q.bells[class]
	if !ok {
		b = &bell{rung: make(chan struct{})}
		q.bells[class] = b
	}
	b.guests++
	return b.rung, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if b.guests--; b.guests == 0 && q.bells[class] == b {
			delete(q.bells, class)
		}
	}
}

func (q *queue) ring(class string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b, ok := q.bells[class]; ok {
		close(b.rung)
		delete(q.bells, class)
	}
}

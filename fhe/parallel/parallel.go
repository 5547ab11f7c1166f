// Package parallel runs numbered, independent pieces of work on a few
// goroutines. Batches of ciphertexts share nothing, so this is all the
// parallelism that encrypted inference needs.
package parallel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// ErrPanic is wrapped when a piece of work panicked.
var ErrPanic = errors.New("a worker panicked")

// Each calls do(ctx, 0) … do(ctx, n-1) on at most workers goroutines and
// returns the first error, which also cancels ctx for the others. Memory in use
// is that of workers calls, however large n is. A panic of do is an error that
// wraps ErrPanic: nobody else could recover it, as it is on another goroutine,
// and hostile bytes must not end the program.
func Each(ctx context.Context, workers, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(max(workers, 1), n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := guarded(ctx, i, do); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// guarded calls do. What it panicked with is not told: it may be payload.
func guarded(ctx context.Context, i int, do func(ctx context.Context, i int) error) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("piece %d: %w", i, ErrPanic)
		}
	}()
	return do(ctx, i)
}

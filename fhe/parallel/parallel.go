// Package parallel runs numbered, independent pieces of work on a few
// goroutines. Batches of ciphertexts share nothing, so this is all the
// parallelism that encrypted inference needs.
package parallel

import (
	"context"
	"sync"
	"sync/atomic"
)

// Each calls do(ctx, 0) … do(ctx, n-1) on at most workers goroutines and
// returns the first error, which also cancels ctx for the others. Memory in use
// is that of workers calls, however large n is.
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
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

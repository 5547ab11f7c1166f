package parallel

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

func TestEachRunsEverythingOnce(t *testing.T) {
	for _, workers := range []int{-1, 1, 3, 100} {
		done := make([]atomic.Int32, 50)
		var now, most atomic.Int32
		err := Each(context.Background(), workers, len(done), func(_ context.Context, i int) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			done[i].Add(1)
			now.Add(-1)
			return nil
		})
		if err != nil || int(most.Load()) > max(workers, 1) {
			t.Fatalf("%d workers: %d at once, %v", workers, most.Load(), err)
		}
		for i := range done {
			if done[i].Load() != 1 {
				t.Fatalf("%d workers: piece %d ran %d times", workers, i, done[i].Load())
			}
		}
	}
}

func TestEachStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	var ran atomic.Int32
	err := Each(context.Background(), 2, 1<<20, func(ctx context.Context, i int) error {
		ran.Add(1)
		if i == 3 {
			return broken
		}
		if i > 3 {
			<-ctx.Done()
		}
		return nil
	})
	if !errors.Is(err, broken) || ran.Load() > 8 {
		t.Fatalf("%v after %d pieces", err, ran.Load())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Each(ctx, 2, 5, func(context.Context, int) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestEachSurvivesAPanic(t *testing.T) {
	for _, what := range []any{"payload", errors.New("payload"), 7} {
		err := Each(context.Background(), 2, 4, func(_ context.Context, i int) error {
			if i == 2 {
				panic(what)
			}
			return nil
		})
		if !errors.Is(err, ErrPanic) || strings.Contains(err.Error(), "payload") {
			t.Errorf("panic of %v: %v", what, err)
		}
	}
	var none []int
	if err := Each(context.Background(), 1, 1, func(_ context.Context, i int) error { none[i]++; return nil }); !errors.Is(err, ErrPanic) {
		t.Error(err)
	}
}

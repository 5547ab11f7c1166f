package holder_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/fhe/holder"
	"cipherdeck/fhe/parallel"
	"cipherdeck/fhe/plan"
)

// Each benchmark is of a logistic regression of 30 features; rows/s is the
// figure to compare. "primes 2" is the plan for errors below 1e-8.

func benchWorld(b *testing.B, want float64, rows int) (*world, [][]float64) {
	aff, data := random(rows, 30, 25)
	return build(b, aff, data, plan.Options{MaxError: want}), data
}

func each(b *testing.B, run func(b *testing.B, w *world, rows [][]float64)) {
	for _, c := range []struct {
		name string
		want float64
	}{{"primes 1", 1e-3}, {"primes 2", 1e-8}} {
		b.Run(c.name, func(b *testing.B) {
			w, rows := benchWorld(b, c.want, 4096-32)
			run(b, w, rows)
			b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func prepared(b *testing.B, w *world, rows [][]float64) (batch, answer []byte, set *holder.CanarySet) {
	known, err := holder.Draw(w.aff, w.plan.Box, 32)
	if err != nil {
		b.Fatal(err)
	}
	if batch, set, err = w.hold.Encrypt(rows, known); err != nil {
		b.Fatal(err)
	}
	if answer, err = w.circ.Evaluate(context.Background(), batch); err != nil {
		b.Fatal(err)
	}
	return batch, answer, set
}

func BenchmarkEncrypt(b *testing.B) {
	each(b, func(b *testing.B, w *world, rows [][]float64) {
		for b.Loop() {
			known, err := holder.Draw(w.aff, w.plan.Box, 32)
			if err != nil {
				b.Fatal(err)
			}
			if _, _, err := w.hold.Encrypt(rows, known); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	each(b, func(b *testing.B, w *world, rows [][]float64) {
		batch, _, _ := prepared(b, w, rows)
		for b.Loop() {
			if _, err := w.circ.Evaluate(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecrypt(b *testing.B) {
	each(b, func(b *testing.B, w *world, rows [][]float64) {
		_, answer, set := prepared(b, w, rows)
		for b.Loop() {
			if _, err := w.hold.Decrypt(answer, set); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEndToEnd encrypts, evaluates and decrypts 64 Ki rows.
func BenchmarkEndToEnd(b *testing.B) {
	for _, want := range []float64{1e-3, 1e-8} {
		for _, workers := range []int{1, 2} {
			w, rows := benchWorld(b, want, 1<<16)
			b.Run(fmt.Sprintf("primes %d/workers %d", len(w.plan.Core.Params.Q), workers), func(b *testing.B) {
				for b.Loop() {
					if err := endToEnd(w, rows, workers); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
				b.ReportMetric(w.plan.Forecast.Seconds/float64(workers), "forecast-s")
			})
		}
	}
}

func endToEnd(w *world, rows [][]float64, workers int) error {
	ctx, run := context.Background(), holder.Run{Workers: workers}
	store := newStore()
	names, sets, err := w.hold.EncryptAll(ctx, rows, w.aff, 32, run, store.put)
	if err != nil {
		return err
	}
	out := make([]id.ID, len(names))
	err = parallel.Each(ctx, workers, len(names), func(ctx context.Context, i int) error {
		raw, err := store.get(ctx, names[i])
		if err != nil {
			return err
		}
		if raw, err = w.circ.Evaluate(ctx, raw); err != nil {
			return err
		}
		out[i], err = store.put(ctx, raw)
		return err
	})
	if err != nil {
		return err
	}
	_, err = w.hold.DecryptAll(ctx, out, sets, run, store.get)
	return err
}

// store names blobs by counting: hashing is the store's cost, not ours.
type store struct {
	mu   sync.Mutex
	data map[id.ID][]byte
}

func newStore() *store { return &store{data: map[id.ID][]byte{}} }

func (s *store) put(_ context.Context, b []byte) (id.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var name id.ID
	binary.BigEndian.PutUint64(name[:], uint64(len(s.data)))
	s.data[name] = b
	return name, nil
}

func (s *store) get(_ context.Context, name id.ID) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[name], nil
}

package jetstream_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/remote/store"
	"cipherdeck/remote/store/jetstream"
)

func benchEngine(b *testing.B) *jetstream.Engine {
	e, err := jetstream.Open(b.Context(), jetstream.Config{Dir: b.TempDir(), Lease: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	return e
}

// BenchmarkPut is durable puts of 1 KiB, by one writer and by 32. Its peer, in
// the same run on the same disk, is a plain file: append 1 KiB, fsync.
// The server flushes each message by itself, one after the other, so 32 writers
// are no faster than the disk's flushes, however many puts are under way.
func BenchmarkPut(b *testing.B) {
	e := benchEngine(b)
	peer := peerP50(b, 300)
	var n atomic.Int64
	put := func(b *testing.B) {
		if _, err := e.Docs().Put(b.Context(), fmt.Sprintf("bench/%d", n.Add(1)), make([]byte, 1024), 0); err != nil {
			b.Error(err)
		}
	}
	b.Run("1 writer", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			begin := time.Now()
			put(b)
			took = append(took, time.Since(begin))
		}
		p50, p99 := percentiles(took)
		b.ReportMetric(ms(p50), "p50-ms")
		b.ReportMetric(ms(p99), "p99-ms")
		b.ReportMetric(ms(peer), "fsync-p50-ms")
		b.ReportMetric(float64(p50)/float64(peer), "times-fsync")
	})
	b.Run("32 writers", func(b *testing.B) {
		b.SetParallelism(16) // times GOMAXPROCS, 2
		begin := time.Now()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				put(b)
			}
		})
		rate := float64(b.N) / time.Since(begin).Seconds()
		b.ReportMetric(rate, "puts/s")
		b.ReportMetric(ms(peer), "fsync-p50-ms")
		b.ReportMetric(rate*peer.Seconds(), "times-peer")
	})
}

// BenchmarkWatch is from the put to what a watcher is told.
func BenchmarkWatch(b *testing.B) {
	e := benchEngine(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	seen := make(chan store.Rev, 1)
	go func() {
		for d, err := range e.Docs().Watch(ctx, "w", 0) {
			if err != nil {
				return
			}
			seen <- d.Rev
		}
	}()
	var whole, after []time.Duration
	var rev store.Rev
	for b.Loop() {
		begin := time.Now()
		var err error
		if rev, err = e.Docs().Put(ctx, "w/k", nil, rev); err != nil {
			b.Fatal(err)
		}
		acked := time.Now()
		for <-seen < rev {
		}
		whole, after = append(whole, time.Since(begin)), append(after, time.Since(acked))
	}
	p50, p99 := percentiles(whole)
	b.ReportMetric(ms(p50), "p50-ms")
	b.ReportMetric(ms(p99), "p99-ms")
	_, p99 = percentiles(after)
	b.ReportMetric(ms(p99), "p99-after-ack-ms")
}

// peerP50 is the median of appending and flushing 1 KiB.
func peerP50(b *testing.B, n int) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var took []time.Duration
	for range n {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 1024)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	p50, _ := percentiles(took)
	return p50
}

func percentiles(all []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

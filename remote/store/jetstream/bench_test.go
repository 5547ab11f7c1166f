package jetstream_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/remote/store/jetstream"
)

// BenchmarkPut is durable puts of 1 KiB, by one writer and by 32, beside one
// fsync of a file on the same disk.
func BenchmarkPut(b *testing.B) {
	e, err := jetstream.Open(b.Context(), jetstream.Config{Dir: b.TempDir(), Lease: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	var n atomic.Int64
	put := func(b *testing.B) {
		if _, err := e.Docs().Put(b.Context(), fmt.Sprintf("bench/%d", n.Add(1)), make([]byte, 1024), 0); err != nil {
			b.Error(err)
		}
	}
	b.Run("1 writer", func(b *testing.B) {
		for b.Loop() {
			put(b)
		}
	})
	b.Run("32 writers", func(b *testing.B) {
		b.SetParallelism(16) // times GOMAXPROCS
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				put(b)
			}
		})
	})
	b.Run("fsync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for b.Loop() {
			if _, err := f.Write(make([]byte, 1024)); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package file_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store/file"
)

// BenchmarkBlobs has blobs of a piece of a project and of the largest size,
// beside a plain copy to a file that is flushed, and beside reading one that is
// hashed. Each step is done beside its peer, in turn, so that a disk or
// neighbours that are slow for a while are so for both: the ratio is the figure.
func BenchmarkBlobs(b *testing.B) {
	for _, size := range []int{1 << 20, 16 << 20} {
		body := make([]byte, size)
		_, _ = rand.Read(body)
		dir := b.TempDir()
		blobs, err := file.Open(filepath.Join(dir, "blobs"), int64(size))
		if err != nil {
			b.Fatal(err)
		}
		plain := filepath.Join(dir, "plain")
		i := id.Of(body)
		put := func() error { return blobs.Put(b.Context(), i, int64(size), bytes.NewReader(body)) }
		get := func() error {
			r, _, err := blobs.Get(b.Context(), i)
			if err != nil {
				return err
			}
			defer r.Close()
			buf := make([]byte, 256<<10)
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buf)
			return err
		}
		hash := func() error { _ = id.Of(body); return nil }
		b.Run(fmt.Sprintf("put/%dMiB", size>>20), func(b *testing.B) {
			beside(b, size, "copy", put, func() error { return flushedCopy(plain, body) })
		})
		b.Run(fmt.Sprintf("get/%dMiB", size>>20), func(b *testing.B) {
			beside(b, size, "hash", get, hash)
		})
	}
}

// beside runs ours and the peer by turns and reports the speed of both, and ours as a part of the peer's.
func beside(b *testing.B, size int, peer string, ours, theirs func() error) {
	var a, p time.Duration
	n := 0
	for b.Loop() {
		for _, step := range []struct {
			do  func() error
			sum *time.Duration
		}{{theirs, &p}, {ours, &a}} {
			began := time.Now()
			if err := step.do(); err != nil {
				b.Fatal(err)
			}
			*step.sum += time.Since(began)
		}
		n++
	}
	speed := func(d time.Duration) float64 { return float64(size) * float64(n) / d.Seconds() / 1e6 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(speed(a), "MB/s")
	b.ReportMetric(speed(p), peer+"-MB/s")
	b.ReportMetric(speed(a)/speed(p), "of-"+peer)
}

func flushedCopy(path string, body []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(body); err != nil {
		return err
	}
	return f.Sync()
}

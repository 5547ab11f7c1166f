package file_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store/file"
)

// The sizes of a piece, beside a plain copy to a file that is flushed too.
func BenchmarkBlobs(b *testing.B) {
	body := make([]byte, 1<<20)
	_, _ = rand.Read(body)
	i := id.Of(body)
	root := b.TempDir()
	blobs, err := file.Open(filepath.Join(root, "blobs"), 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			f, err := os.Create(filepath.Join(root, "plain"))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.Write(body); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if err := blobs.Put(b.Context(), i, int64(len(body)), bytes.NewReader(body)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		buf := make([]byte, 256<<10)
		for b.Loop() {
			r, _, err := blobs.Get(b.Context(), i)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buf); err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

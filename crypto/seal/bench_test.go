package seal

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

const benchSize = 256 << 20

// Run with TMPDIR on a memory file system, and compare with Copy in the same run.
func BenchmarkSealFile(b *testing.B) {
	dir, in := benchFile(b)
	for b.Loop() {
		if err := SealFile(b.Context(), filepath.Join(dir, "out"), in, Meta{}, toEpoch, FileOptions{Force: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenFile(b *testing.B) {
	dir, in := benchFile(b)
	box := filepath.Join(dir, "box")
	if err := SealFile(b.Context(), box, in, Meta{}, toEpoch, FileOptions{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := OpenFile(b.Context(), filepath.Join(dir, "out"), box, byEpoch, FileOptions{Force: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopy is the peer: the same bytes moved in order and not encrypted.
func BenchmarkCopy(b *testing.B) {
	dir, in := benchFile(b)
	st, err := os.Stat(in)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := writeWhole(filepath.Join(dir, "out"), st, true, func(dst *os.File) error {
			src, err := os.Open(in)
			if err != nil {
				return err
			}
			defer src.Close()
			buf := make([]byte, 256<<10)
			_, err = io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func benchFile(b *testing.B) (dir, in string) {
	b.Helper()
	dir = b.TempDir()
	in = filepath.Join(dir, "in")
	if err := os.WriteFile(in, make([]byte, benchSize), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	return dir, in
}

func BenchmarkWrapKey(b *testing.B) {
	pub := testPairs[0]().Public()
	for b.Loop() {
		if _, err := WrapKey(pub, [32]byte{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnwrapKey(b *testing.B) {
	pair := testPairs[0]()
	w, err := WrapKey(pair.Public(), [32]byte{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := UnwrapKey(pair, w, nil); err != nil {
			b.Fatal(err)
		}
	}
}

package cobblestone

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Both ways are one format: what one writes, the other reads.
func TestParallelIsTheSameFormat(t *testing.T) {
	key := [KeySize]byte{1}
	for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, batchPlain - 1, batchPlain, batchPlain + 1, 5*batchPlain + 7, 4 * batchPlain} {
		plain := make([]byte, n)
		for i := range plain {
			plain[i] = byte(i / 1000)
		}
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := SealParallel(f, bytes.NewReader(plain), int64(n), key, nil); err != nil {
			t.Fatal(err)
		}
		sealed, _ := os.ReadFile(f.Name())
		if got, err := Open(key, nil, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
		other, err := Seal(key, nil, plain)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(t.TempDir(), "g"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		k, err := OpenParallel(out, bytes.NewReader(other), int64(len(other)), key, nil)
		if got, _ := os.ReadFile(out.Name()); err != nil || k != int64(n) || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
		for _, at := range []int{0, 30, HeaderSize, len(other) / 2, len(other) - 1} {
			bad := bytes.Clone(other)
			bad[at] ^= 1
			if _, err := OpenParallel(out, bytes.NewReader(bad), int64(len(bad)), key, nil); !errors.Is(err, ErrAuth) {
				t.Errorf("%d bytes, byte %d changed: %v", n, at, err)
			}
		}
		for _, cut := range []int{0, HeaderSize - 1, HeaderSize, len(other) - 1} {
			if _, err := OpenParallel(out, bytes.NewReader(other[:cut]), int64(cut), key, nil); !errors.Is(err, ErrAuth) && !errors.Is(err, ErrTruncated) {
				t.Errorf("%d bytes, cut to %d: %v", n, cut, err)
			}
		}
		if err := SealParallel(f, bytes.NewReader(plain), int64(n)+1, key, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, one announced too many: %v", n, err)
		}
	}
	full := errors.New("no space")
	if err := SealParallel(failAfter{3, full}, bytes.NewReader(make([]byte, 10*batchPlain)), 10*batchPlain, key, nil); !errors.Is(err, full) {
		t.Error(err)
	}
}

// failAfter is a disk that gets full.
type failAfter struct {
	batches int64
	err     error
}

func (f failAfter) WriteAt(p []byte, off int64) (int, error) {
	if off > f.batches*batchSealed {
		return 0, f.err
	}
	return len(p), nil
}

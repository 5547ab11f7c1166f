//go:build linux

package file_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store/faultfs"
	"cipherdeck/remote/store/file"
)

// TestPowerCut cuts the power after each of some puts. What was acknowledged is
// there whole: also a blob in a directory that an earlier one made, or that an
// earlier process made and did not come to flush.
func TestPowerCut(t *testing.T) {
	for _, mode := range []faultfs.Mode{faultfs.Strict, faultfs.Ordered} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := t.TempDir()
			f, err := faultfs.Mount(dir, "", mode)
			if errors.Is(err, faultfs.ErrNoFUSE) {
				t.Skipf("SKIPPED: no power is cut: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}()
			root := filepath.Join(dir, "data", "blobs", "room")
			var put []id.ID
			for n := range 12 {
				b, err := file.Join(root, limit)
				if err != nil {
					t.Fatal(err)
				}
				for k := range 2 {
					body := bytes.Repeat(fmt.Append(nil, n, k), 1+n*20000)
					i := id.Of(body)
					if k == 1 { // as a process leaves it that is killed between making and flushing
						if err := os.MkdirAll(filepath.Dir(place(root, i)), 0o700); err != nil {
							t.Fatal(err)
						}
					}
					if err := b.Put(t.Context(), i, int64(len(body)), bytes.NewReader(body)); err != nil {
						t.Fatal(err)
					}
					put = append(put, i)
					after := t.TempDir()
					if err := f.Survive(after, rand.New(rand.NewPCG(3, uint64(n)))); err != nil {
						t.Fatal(err)
					}
					wantBlobs(t, filepath.Join(after, "data", "blobs", "room"), put)
				}
			}
		})
	}
}

func wantBlobs(t *testing.T, root string, ids []id.ID) {
	t.Helper()
	b, err := file.Open(root, limit)
	if err != nil {
		t.Fatal(err)
	}
	for n, i := range ids {
		r, _, err := b.Get(t.Context(), i)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			err = errors.Join(err, r.Close())
		}
		if err != nil {
			t.Fatalf("blob %d of %d that were acknowledged: %v", n, len(ids), err)
		}
	}
}

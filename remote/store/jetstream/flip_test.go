package jetstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cipherdeck/remote/store"
	"cipherdeck/remote/store/faulttest"
	"cipherdeck/remote/store/jetstream"
)

// TestFlippedBit measures what one bit costs in each class of files. The
// engine itself need not notice: the journal does. It must start or say that
// it cannot, and must never give another body than the one that was stored.
func TestFlippedBit(t *testing.T) {
	const n = 400
	whole := filepath.Join(t.TempDir(), "store")
	revs := fillDocs(t, whole, n)
	files := faulttest.Files(t, whole)
	for _, class := range faulttest.Classes(files) {
		if class == "other" {
			continue
		}
		for _, at := range []int64{-1, 100, 5000} { // near the end, and near the beginning
			t.Run(fmt.Sprintf("%s at %d", class, at), func(t *testing.T) {
				path := ofDocs(files[class])
				rel, err := filepath.Rel(whole, path)
				if err != nil {
					t.Fatal(err)
				}
				if i, err := os.Stat(path); err != nil || i.Size() <= at {
					t.Skipf("%s is shorter: %v", rel, err)
				}
				dir := filepath.Join(t.TempDir(), "store")
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				faulttest.Flip(t, filepath.Join(dir, rel), at, 3)
				t.Logf("one bit of %s: %s", rel, afterFlip(t, dir, revs))
			})
		}
	}
}

// ofDocs prefers a file of the documents.
func ofDocs(paths []string) string {
	for _, p := range paths {
		if strings.Contains(p, "KV_docs") {
			return p
		}
	}
	return paths[0]
}

// fillDocs makes a store with documents, changed ones, and jobs in the queue.
func fillDocs(t *testing.T, dir string, n int) map[string]store.Rev {
	t.Helper()
	e, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, e)
	revs := map[string]store.Rev{}
	for i := range n {
		key := fmt.Sprintf("k/%d", i)
		rev, err := e.Docs().Put(t.Context(), key, []byte(key), 0)
		if err != nil {
			t.Fatal(err)
		}
		revs[key] = rev
		if i%40 == 0 {
			if err := e.Queue().Enqueue(t.Context(), "cpu", fmt.Sprint("job", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := e.Queue().Lease(t.Context(), "cpu", time.Second); err != nil {
		t.Fatal(err)
	}
	return revs
}

// afterFlip opens the store and says what is there.
func afterFlip(t *testing.T, dir string, revs map[string]store.Rev) string {
	e, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Lease: time.Hour})
	if err != nil {
		return fmt.Sprintf("it does not start: %v", err)
	}
	defer closed(t, e)
	missing := 0
	for key, rev := range revs {
		d, err := e.Docs().Get(t.Context(), key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			missing++
		case err != nil:
			return fmt.Sprintf("it starts, and reading fails: %v", err)
		case string(d.Body) != key || d.Rev != rev:
			t.Errorf("%s is %q at %d, want revision %d", key, d.Body, d.Rev, rev)
		}
	}
	return fmt.Sprintf("it starts, %d of %d documents are missing without a word", missing, len(revs))
}

package mirror_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/file"
	"cipherdeck/remote/store/mem"
	"cipherdeck/remote/store/mirror"
	"cipherdeck/remote/store/storetest"
)

const limit = 1 << 16

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T, time.Duration) storetest.Engines {
		return storetest.Engines{Blobs: mirror.New(mem.NewBlobs(limit), mem.NewBlobs(limit), limit, nil), MaxBlob: limit}
	})
}

// rig is a mirror over two directories, one of which is hurt.
type rig struct {
	root   string
	blobs  *mirror.Blobs
	healed int
	body   []byte
	id     id.ID
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{root: t.TempDir(), body: bytes.Repeat([]byte("ciphertext"), 500)}
	r.id = id.Of(r.body)
	r.blobs = mirror.New(r.place(t, "one"), r.place(t, "two"), limit, func(id.ID, error) { r.healed++ })
	if err := r.blobs.Put(t.Context(), r.id, int64(len(r.body)), bytes.NewReader(r.body)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) place(t *testing.T, name string) store.Blobs {
	t.Helper()
	b, err := file.Open(filepath.Join(r.root, name), limit)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (r *rig) file(place string) string {
	hx := hex.EncodeToString(r.id[:])
	return filepath.Join(r.root, place, hx[:2], hx[2:4], hx)
}

func (r *rig) flip(t *testing.T, place string) {
	t.Helper()
	b, err := os.ReadFile(r.file(place))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(r.file(place), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) wantWhole(t *testing.T, place string) {
	t.Helper()
	if b, err := os.ReadFile(r.file(place)); err != nil || !bytes.Equal(b, r.body) {
		t.Errorf("%s: %d bytes, %v", place, len(b), err)
	}
}

// TestHealedByReading shows that a reader never notices a damaged or lost
// first copy, and that it is whole afterwards.
func TestHealedByReading(t *testing.T) {
	for name, hurt := range map[string]func(*rig){
		"flipped": func(r *rig) { r.flip(t, "one") },
		"lost":    func(r *rig) { _ = os.Remove(r.file("one")) },
	} {
		r := newRig(t)
		hurt(r)
		body, n, err := r.blobs.Get(t.Context(), r.id)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, r.body) || n != int64(len(got)) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		r.wantWhole(t, "one")
		if r.healed != 1 {
			t.Errorf("%s: told of %d healed", name, r.healed)
		}
	}
}

// TestScrubbed shows that a scrub mends either copy, and names a blob of which
// no copy is good.
func TestScrubbed(t *testing.T) {
	r := newRig(t)
	for _, place := range []string{"one", "two"} {
		r.flip(t, place)
		found := scrub(t, r.blobs)
		if len(found) != 1 || found[0].Err != nil || !found[0].Mended {
			t.Errorf("%s flipped: found %+v", place, found)
		}
		r.wantWhole(t, place)
	}
	if found := scrub(t, r.blobs); len(found) != 0 {
		t.Errorf("nothing is wrong: found %+v", found)
	}
	r.flip(t, "one")
	r.flip(t, "two")
	if found := scrub(t, r.blobs); len(found) != 1 || !errors.Is(found[0].Err, store.ErrCorrupt) || found[0].ID != r.id {
		t.Errorf("both flipped: found %+v", found)
	}
}

func scrub(t *testing.T, b store.Blobs) (found []store.Finding) {
	t.Helper()
	n, err := store.Scrub(t.Context(), b, func(f store.Finding) { found = append(found, f) })
	if err != nil || n.Blobs != 1 {
		t.Errorf("scrub: %+v, %v", n, err)
	}
	return found
}

// away is a place that does not answer.
type away struct{ store.Blobs }

func (away) Has(context.Context, []id.ID) ([]bool, error) { return nil, store.ErrUnavailable }
func (away) Put(context.Context, id.ID, int64, io.Reader) error {
	return store.ErrUnavailable
}
func (away) Get(context.Context, id.ID) (io.ReadCloser, int64, error) {
	return nil, 0, store.ErrUnavailable
}

// TestOneAway shows that reading goes on with one place, and writing does not:
// a second copy that is not there is none.
func TestOneAway(t *testing.T) {
	r := newRig(t)
	good := r.place(t, "one")
	for name, b := range map[string]*mirror.Blobs{"second": mirror.New(good, away{}, limit, nil), "first": mirror.New(away{}, good, limit, nil)} {
		if has, err := b.Has(t.Context(), []id.ID{r.id}); err != nil || !has[0] {
			t.Errorf("%s away: has %v, %v", name, has, err)
		}
		if _, _, err := b.Get(t.Context(), r.id); err != nil {
			t.Errorf("%s away: get: %v", name, err)
		}
		if err := b.Put(t.Context(), r.id, int64(len(r.body)), bytes.NewReader(r.body)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s away: put: %v", name, err)
		}
	}
}

package ipfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/car"
	"cipherdeck/remote/store/ipfs"
	"cipherdeck/remote/store/ipfs/ipfstest"
	"cipherdeck/remote/store/storetest"
)

const limit = 4 << 20

type daemon struct{ *ipfstest.Daemon }

func newDaemon(t *testing.T) *daemon { return &daemon{ipfstest.New(t)} }

func (d *daemon) blobs(t *testing.T, name string) *ipfs.Blobs {
	t.Helper()
	n, err := ipfs.Open(d.Endpoint, "")
	if err != nil {
		t.Fatal(err)
	}
	return n.Blobs(name, limit)
}

func (d *daemon) open(t *testing.T) storetest.Engines {
	return storetest.Engines{
		Blobs: d.blobs(t, "room"), MaxBlob: limit, Reopen: d.open,
		Damage: func(t *testing.T, name string) {
			d.change(t, name, func(b []byte) []byte { b[0] ^= 1; return b })
		},
		Truncate: func(t *testing.T, name string) {
			d.change(t, name, func(b []byte) []byte { return b[:len(b)-1] })
		},
	}
}

// change edits the file in which the daemon keeps a block.
func (d *daemon) change(t *testing.T, name string, how func([]byte) []byte) {
	t.Helper()
	i, err := id.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	err = filepath.WalkDir(filepath.Join(d.Repo, "blocks"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".data") {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil || id.Of(body) != i {
			return err
		}
		changed++
		return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, how(body), 0o600))
	})
	if err != nil || changed != 1 {
		t.Fatalf("%d files changed, %v", changed, err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, _ time.Duration) storetest.Engines { return newDaemon(t).open(t) })
}

// TestApart shows that what one name has another has not, even after the
// daemon collected what nothing names.
func TestApart(t *testing.T) {
	d := newDaemon(t)
	one, two := d.blobs(t, "one"), d.blobs(t, "two")
	body := []byte("ciphertext")
	i := id.Of(body)
	for _, b := range []*ipfs.Blobs{one, two} {
		if _, _, err := b.Get(t.Context(), i); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("get before put: %v", err)
		}
		if err := b.Put(t.Context(), i, int64(len(body)), bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Delete(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	d.Run(t, "repo", "gc")
	if _, _, err := one.Get(t.Context(), i); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get after delete: %v", err)
	}
	if r, _, err := two.Get(t.Context(), i); err != nil {
		t.Errorf("the other's blob went too: %v", err)
	} else if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := two.Delete(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if out := d.Run(t, "repo", "gc"); !strings.Contains(out, i.String()) {
		t.Errorf("the daemon did not collect the block: %s", out)
	}
}

// TestArchive shows that IPFS reads our archives, under our names.
func TestArchive(t *testing.T) {
	d := newDaemon(t)
	file := filepath.Join(t.TempDir(), "a.car")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := [][]byte{{}, []byte("one"), bytes.Repeat([]byte("big"), 400_000)}
	w, err := car.NewWriter(f, id.Of(blocks[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := w.Put(id.Of(b), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	d.Run(t, "dag", "import", "--allow-big-block", "--stats", file)
	for _, b := range blocks {
		if got := d.Run(t, "block", "get", id.Of(b).String()); got != string(b) {
			t.Errorf("block of %d bytes came back with %d", len(b), len(got))
		}
	}
}

func TestEndpoint(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:5001", "http://far.example:5001", "https://user:secret@host", "https://host?x=1"} {
		if _, err := ipfs.Open(bad, ""); !errors.Is(err, ipfs.ErrEndpoint) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

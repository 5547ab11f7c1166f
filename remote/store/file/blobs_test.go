package file_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store/file"
	"cipherdeck/remote/store/storetest"
)

const limit = 1 << 20

func open(t *testing.T, root string) storetest.Engines {
	b, err := file.Open(root, limit)
	if err != nil {
		t.Fatal(err)
	}
	return storetest.Engines{
		Blobs:   b,
		MaxBlob: limit,
		Reopen:  func(t *testing.T) storetest.Engines { return open(t, root) },
		Damage: func(t *testing.T, name string) {
			change(t, root, name, func(b []byte) []byte { b[0] ^= 1; return b })
		},
		Truncate: func(t *testing.T, name string) {
			change(t, root, name, func(b []byte) []byte { return b[:len(b)-1] })
		},
	}
}

func change(t *testing.T, root, name string, how func([]byte) []byte) {
	i, err := id.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	path := place(root, i)
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

func place(root string, i id.ID) string {
	hx := hex.EncodeToString(i[:])
	return filepath.Join(root, hx[:2], hx[2:4], hx)
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, _ time.Duration) storetest.Engines {
		return open(t, filepath.Join(t.TempDir(), "blobs"))
	})
}

// TestUnfinished shows that an upload cut by a crash leaves nothing behind.
func TestUnfinished(t *testing.T) {
	root := t.TempDir()
	open(t, root)
	left := filepath.Join(root, "tmp", "put-cut")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, root)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("unfinished upload is still there: %v", err)
	}
}

func TestPrivate(t *testing.T) {
	root := filepath.Join(t.TempDir(), "blobs")
	e := open(t, root)
	if err := e.Blobs.Put(t.Context(), id.Of([]byte("x")), 1, bytes.NewReader([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

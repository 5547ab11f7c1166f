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
	"cipherdeck/remote/store/space"
)

// TestFullDisk writes until there is no room, and goes on when there is.
func TestFullDisk(t *testing.T) {
	disk := faulttest.SmallDisk(t, 64)
	dir := filepath.Join(disk, "store")
	e := open(t, dir, time.Hour)
	acked := map[string]store.Rev{}
	fill := func() (err error) {
		for n := len(acked); n < 100000; n++ {
			key := fmt.Sprintf("k/%d", n)
			var rev store.Rev
			if rev, err = e.Docs.Put(t.Context(), key, make([]byte, 16<<10), 0); err != nil {
				return err
			}
			acked[key] = rev
		}
		return nil
	}
	err := fill()
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, space.ErrFull) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("on a full disk: %v; want ErrUnavailable that names %s", err, dir)
	}
	t.Logf("%d documents of 16 KiB acknowledged, then: %v", len(acked), err)
	if err := e.Queue.Enqueue(t.Context(), "cpu", "job"); !errors.Is(err, space.ErrFull) {
		t.Errorf("enqueue on a full disk: %v", err)
	}
	all := func(when string) {
		lost := 0
		for key, rev := range acked {
			if d, err := e.Docs.Get(t.Context(), key); err != nil || d.Rev != rev || len(d.Body) != 16<<10 {
				lost++
				t.Errorf("%s: %s: revision %d, %v", when, key, d.Rev, err)
			}
		}
		if lost > 0 {
			t.Fatalf("%s: %d of %d lost", when, lost, len(acked))
		}
	}
	all("on the full disk")
	e = e.Reopen(t) // it starts on a full disk as well
	all("started on the full disk")

	// Somebody else fills it to the last byte, and takes that away again.
	other := filepath.Join(disk, "other")
	if err := os.WriteFile(other, make([]byte, 64<<20), 0o600); err == nil {
		t.Fatal("the disk is larger than it should be")
	}
	if _, err := e.Docs.Put(t.Context(), "k/more", nil, 0); !errors.Is(err, space.ErrFull) {
		t.Errorf("with no byte left: %v", err)
	}
	all("with no byte left")
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	faulttest.GrowDisk(t, disk, 128)
	if _, err := e.Docs.Put(t.Context(), "k/after", nil, 0); err != nil {
		t.Errorf("with room again: %v", err)
	}
	all("with room again")
}

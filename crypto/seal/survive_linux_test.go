package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that gets full at every stage, page by page: what was there stays, the
// error says why, and nothing half-made is left.
func TestFullDiskAtEveryStage(t *testing.T) {
	src := t.TempDir()
	old, fresh := bytes.Repeat([]byte("old "), 10_000), bytes.Repeat([]byte("new!"), 12_000)
	in, tree := writeFile(t, filepath.Join(src, "new"), fresh), filepath.Join(src, "tree")
	os.Mkdir(tree, 0o700)
	for i := range 5 {
		writeFile(t, filepath.Join(tree, fmt.Sprint(i)), fresh[:9000])
	}
	oldBox := sealBytes(t, old, Meta{Size: int64(len(old))}, epoch(1))
	newBox, treeBox := filepath.Join(src, "newbox"), filepath.Join(src, "treebox")
	if err := errors.Join(SealFile(t.Context(), newBox, in, Meta{}, toEpoch, FileOptions{}),
		SealFile(t.Context(), treeBox, tree, Meta{}, toEpoch, FileOptions{})); err != nil {
		t.Fatal(err)
	}
	ctx, o := context.Background(), FileOptions{Force: true}
	for name, work := range map[string]func(dir string) error{
		"seal":           func(d string) error { return SealFile(ctx, filepath.Join(d, "box"), in, Meta{}, toEpoch, o) },
		"seal directory": func(d string) error { return SealFile(ctx, filepath.Join(d, "box"), tree, Meta{}, toEpoch, o) },
		"recipients": func(d string) error {
			_, err := AddRecipients(ctx, filepath.Join(d, "box"), byEpoch, []Recipient{epoch(2)}, o)
			return err
		},
		"reseal": func(d string) error { _, err := Reseal(ctx, filepath.Join(d, "box"), byEpoch, toEpoch, o); return err },
		"open":   func(d string) error { _, err := OpenFile(ctx, filepath.Join(d, "out"), newBox, byEpoch, o); return err },
		"open directory": func(d string) error {
			_, err := OpenFile(ctx, filepath.Join(d, "out"), treeBox, byEpoch, o)
			return err
		},
	} {
		failed, succeeded := 0, false
		for pages := 12; pages < 48 && !succeeded; pages++ { // the old container takes 11
			dir := smallDisk(t, pages)
			box := writeFile(t, filepath.Join(dir, "box"), oldBox)
			err := work(dir)
			es, _ := os.ReadDir(dir)
			switch {
			case err == nil:
				succeeded = true
				if _, err := VerifyFile(t.Context(), box, byEpoch, FileOptions{}); err != nil {
					t.Errorf("%s on %d pages: %v", name, pages, err)
				}
			case !errors.Is(err, syscall.ENOSPC):
				t.Errorf("%s on %d pages: %v, want no space", name, pages, err)
			default:
				failed++
				if b, _ := os.ReadFile(box); !bytes.Equal(b, oldBox) || len(es) != 1 {
					t.Errorf("%s on %d pages: the old container changed, or %v is left", name, pages, es)
				}
			}
			unmount(t, dir)
		}
		if failed < 5 || !succeeded {
			t.Errorf("%s: %d failures, success %v", name, failed, succeeded)
		}
	}
}

// The same with files of several stretches, which are written in parallel and
// in any order.
func TestFullDiskInParallel(t *testing.T) {
	src := t.TempDir()
	in, sealed := writeFile(t, filepath.Join(src, "in"), bytes.Repeat([]byte("row\n"), 900_000)), filepath.Join(src, "sealed")
	if err := SealFile(t.Context(), sealed, in, Meta{}, toEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	o := FileOptions{Force: true}
	for name, work := range map[string]func(out string) error{
		"seal": func(out string) error { return SealFile(t.Context(), out, in, Meta{}, toEpoch, o) },
		"open": func(out string) error { _, err := OpenFile(t.Context(), out, sealed, byEpoch, o); return err },
	} {
		for pages := 2; pages < 880; pages += 73 { // the whole takes 880 and more
			dir := smallDisk(t, pages)
			out := writeFile(t, filepath.Join(dir, "out"), []byte("old"))
			err := work(out)
			if b, _ := os.ReadFile(out); !errors.Is(err, syscall.ENOSPC) || string(b) != "old" {
				t.Errorf("%s on %d pages: %v, %q", name, pages, err, b)
			}
			only(t, dir, "out")
			unmount(t, dir)
		}
	}
}

// No room for one more file: the directory is left as it was.
func TestNoInodesLeft(t *testing.T) {
	src := t.TempDir()
	dir, tree := smallDisk(t, 100, "nr_inodes=3"), filepath.Join(src, "tree") // the root, and two
	box := writeFile(t, filepath.Join(dir, "box"), sealBytes(t, []byte("hello"), Meta{Size: 5}, epoch(1)))
	writeFile(t, filepath.Join(dir, "last"), nil)
	before, _ := os.ReadFile(box)
	os.Mkdir(filepath.Join(src, "d"), 0o700)
	if err := SealFile(t.Context(), tree, filepath.Join(src, "d"), Meta{}, toEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	o := FileOptions{Force: true}
	_, open := OpenFile(t.Context(), filepath.Join(dir, "last"), box, byEpoch, o)
	_, openDir := OpenFile(t.Context(), filepath.Join(dir, "out"), tree, byEpoch, o)
	_, add := AddRecipients(t.Context(), box, byEpoch, []Recipient{epoch(2)}, o)
	_, again := Reseal(t.Context(), box, byEpoch, toEpoch, o)
	for name, err := range map[string]error{
		"seal": SealFile(t.Context(), filepath.Join(dir, "last"), box, Meta{}, toEpoch, o), "open": open, "open directory": openDir, "recipients": add, "reseal": again,
	} {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after, _ := os.ReadFile(box); !bytes.Equal(before, after) {
		t.Error("the container changed")
	}
	only(t, dir, "box", "last")
}

// smallDisk mounts a tmpfs of so many pages.
func smallDisk(t *testing.T, pages int, more ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "disk")
	if err != nil {
		t.Fatal(err)
	}
	options := strings.Join(append(more, fmt.Sprintf("size=%d", pages*os.Getpagesize())), ",")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: full disks; a small tmpfs cannot be mounted here (%v; root can)", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Unmount(dir, 0); err != nil && !strings.Contains(err.Error(), "busy") {
		t.Error(err)
	}
}

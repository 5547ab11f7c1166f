package agefile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"cipherdeck/crypto/seal"
)

// A disk that gets full while an age file is written or read in, page by page:
// what had the name keeps it, and nothing half-made is left.
func TestFullDisk(t *testing.T) {
	src := t.TempDir()
	k := kinds(t)["X25519"]
	to, err := ParseRecipient(k.recipient)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := ReadIdentities(bytes.NewReader([]byte(k.identity)), nil)
	if err != nil {
		t.Fatal(err)
	}
	box := sealed(t, write(t, filepath.Join(src, "in"), bytes.Repeat([]byte("row\n"), 10_000)))
	age := filepath.Join(src, "in.age")
	export := func(out string) error {
		return ExportFile(t.Context(), out, box, []seal.Identity{epoch()}, []Recipient{to}, Options{Force: true})
	}
	if err := export(age); err != nil {
		t.Fatal(err)
	}
	for name, work := range map[string]func(out string) error{
		"export": export,
		"import": func(out string) error {
			return ImportFile(t.Context(), out, age, ids, []seal.Recipient{epoch()}, seal.FileOptions{Force: true})
		},
	} {
		failed, succeeded := 0, false
		for pages := 2; pages < 24 && !succeeded; pages++ {
			dir := smallDisk(t, pages)
			out := write(t, filepath.Join(dir, "out"), []byte("old"))
			err := work(out)
			if succeeded = err == nil; succeeded {
				continue
			}
			failed++
			es, _ := os.ReadDir(dir)
			if b, _ := os.ReadFile(out); !errors.Is(err, syscall.ENOSPC) || string(b) != "old" || len(es) != 1 {
				t.Errorf("%s on %d pages: %v, %q, %v", name, pages, err, b, es)
			}
		}
		if failed < 5 || !succeeded {
			t.Errorf("%s: %d failures, success %v", name, failed, succeeded)
		}
	}
}

func TestFIFOIsNotWaitedFor(t *testing.T) {
	tmp := t.TempDir()
	fifo := filepath.Join(tmp, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	to, _ := ParseRecipient(kinds(t)["X25519"].recipient)
	err1 := ExportFile(t.Context(), filepath.Join(tmp, "out"), fifo, []seal.Identity{epoch()}, []Recipient{to}, Options{})
	err2 := ImportFile(t.Context(), filepath.Join(tmp, "out"), fifo, nil, []seal.Recipient{epoch()}, seal.FileOptions{})
	if !errors.Is(err1, seal.ErrNotRegular) || !errors.Is(err2, seal.ErrNotRegular) {
		t.Error(err1, err2)
	}
}

// smallDisk mounts a tmpfs of so many pages.
func smallDisk(t *testing.T, pages int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", pages*os.Getpagesize())); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: full disks while age files are written; a small tmpfs cannot be mounted here (%v; root can)", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

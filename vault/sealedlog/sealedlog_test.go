package sealedlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path string, n int) {
	t.Helper()
	l, all, err := Open(path, [32]byte{1}, []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := len(all); i < n; i++ {
		if err := l.Append([]byte(fmt.Sprint("entry ", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// Cut at every byte, what was acknowledged before is there, and one can go on.
func TestEveryCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, 2)
	two, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, 3)
	three, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(two); n < len(three); n++ {
		if err := os.WriteFile(path, three[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if all, err := Read(path, [32]byte{1}, []byte("p")); err != nil || len(all) != 2 {
			t.Fatalf("cut to %d: %d entries, %v", n, len(all), err)
		}
		write(t, path, 4)
		all, err := Read(path, [32]byte{1}, []byte("p"))
		if err != nil || len(all) != 4 || string(all[3]) != "entry 3" {
			t.Fatalf("cut to %d: %d entries, %v", n, len(all), err)
		}
	}
}

func TestDamageIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, 2)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path, [32]byte{1}, []byte("p")); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, [32]byte{2}, []byte("p")); !errors.Is(err, ErrDamaged) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Read(path, [32]byte{1}, []byte("q")); !errors.Is(err, ErrDamaged) {
		t.Errorf("another project: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

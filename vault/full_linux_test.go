package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFullDiskLeavesTheOldVault(t *testing.T) {
	d := dir(t)
	if err := unix.Mount("tmpfs", d, "tmpfs", 0, "size=128k,mode=0700"); err != nil {
		t.Skipf("SKIPPED: a full disk needs a small tmpfs, and mounting one is not allowed here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(d, unix.MNT_DETACH) })
	path := filepath.Join(d, "vault")
	k := &ring{}
	v := create(t, path, sample(), KeyringSlot(k))
	if err := v.Update(func(s *State) error { s.Account.Name = "carol"; return nil }); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	want := v.copyOf(t)
	big := make([]byte, 256<<10)
	rand.Read(big)
	err := v.Update(func(s *State) error { s.Account.Genesis = big; return nil })
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("want no space left, got %v", err)
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) || !reflect.DeepEqual(v.copyOf(t), want) || !reflect.DeepEqual(open(t, path, FromKeyring(k)).copyOf(t), want) {
		t.Fatal("the old vault is not what it was")
	}
	if got := names(t, d); got != "vault vault.bak vault.lock" {
		t.Fatalf("files: %s", got)
	}
	if err := v.Update(func(s *State) error { s.Account.Name = "dave"; return nil }); err != nil {
		t.Fatalf("save after there is room again: %v", err)
	}
}

package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a private tmpfs with these options.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	d := dir(t)
	if err := unix.Mount("tmpfs", d, "tmpfs", 0, options+",mode=0700"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: vaults on a full disk; a small tmpfs cannot be mounted here (%v; root can)", err)
	}
	t.Cleanup(func() { unix.Unmount(d, unix.MNT_DETACH) })
	return d
}

func TestFullDiskLeavesTheOldVault(t *testing.T) {
	d := smallDisk(t, "size=128k")
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

// Every change of a vault on a disk that is full at any page and at any file:
// the old vault is there, to the byte, and what was made beside it is gone; and
// so it is with a new vault, of which there is nothing.
func TestFullDiskAtEveryStage(t *testing.T) {
	k, code := &ring{}, NewRecoveryCode()
	model := filepath.Join(dir(t), "vault")
	big := make([]byte, 9*4096)
	rand.Read(big)
	st := sample()
	st.Account.Genesis = big[:4*4096]
	v := create(t, model, st, KeyringSlot(k), RecoverySlot(code))
	slots := v.Slots()
	if err := v.Update(func(*State) error { return nil }); err != nil {
		t.Fatal(err)
	}
	vaultFile, _ := os.ReadFile(model)
	for name, work := range map[string]func(v *Vault) error{
		"update": func(v *Vault) error { return v.Update(func(s *State) error { s.Account.Genesis = big; return nil }) },
		"add slot": func(v *Vault) error {
			_, err := v.AddSlot(t.Context(), KeyringSlot(&ring{}))
			return err
		},
		"remove slot": func(v *Vault) error { return v.RemoveSlot(slots[1].ID) },
		"rotate": func(v *Vault) error {
			_, err := v.RotateKey(t.Context(), nil, FromKeyring(k), Recovery(code))
			return err
		},
	} {
		failed := 0
		try := func(options string) (done bool) {
			d := smallDisk(t, options)
			path := filepath.Join(d, "vault")
			put(t, path, vaultFile)
			v, err := Open(t.Context(), path, FromKeyring(k))
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if err := work(v); err == nil {
				open(t, path, FromKeyring(k)).Close()
				return true
			} else if !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%s, %s: %v", name, options, err)
			}
			failed++
			if now, _ := os.ReadFile(path); !bytes.Equal(now, vaultFile) {
				t.Errorf("%s, %s: the old vault changed", name, options)
			}
			if got := names(t, d); got != "vault vault.lock" && got != "vault" && got != "vault vault.bak vault.lock" {
				t.Errorf("%s, %s: %s", name, options, got)
			}
			return false
		}
		done := false
		for pages := 6; pages < 40 && !done; pages++ {
			done = try(fmt.Sprintf("size=%dk", 4*pages))
		}
		if !done || failed < 4 {
			t.Errorf("%s: %d failures, success %v", name, failed, done)
		}
		done, failed = false, 0
		for files := 2; files < 9 && !done; files++ {
			done = try(fmt.Sprintf("size=1m,nr_inodes=%d", files))
		}
		if !done || failed < 2 {
			t.Errorf("%s, files: %d failures, success %v", name, failed, done)
		}
	}
	for pages := range 4 {
		d := smallDisk(t, fmt.Sprintf("size=%dk", 4*(pages+1)))
		if _, err := Create(filepath.Join(d, "vault"), st, KeyringSlot(&ring{})); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("create: %v", err)
		}
		if got := names(t, d); got != "vault.lock" && got != "" {
			t.Errorf("create: %s is left", got)
		}
	}
}

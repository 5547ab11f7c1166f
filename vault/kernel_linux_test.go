package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kernelEntry is a key of this test's own; it ends by itself after a minute.
func kernelEntry(t *testing.T) KernelEntry {
	t.Helper()
	e := KernelKeyring("test-"+t.Name()+"-"+string(NewRecoveryCode()[:9]), time.Minute)
	err := e.Set(t.Context(), make([]byte, keySize))
	if errors.Is(err, ErrKeyringAbsent) {
		t.Skipf("SKIPPED, NOT TESTED: the kernel's keyring: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Delete(context.Background()) })
	return e
}

func TestKernelKeyring(t *testing.T) {
	e, ctx := kernelEntry(t), t.Context()
	secret := bytes.Repeat([]byte{0xfe}, keySize)
	if err := e.Set(ctx, secret); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Get(ctx); err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("%x %v", got, err)
	}
	for _, n := range []int{1, 31, 33, 64} {
		if err := e.Set(ctx, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Get(ctx); !errors.Is(err, ErrKeyringMismatch) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	if err := e.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	_, get := e.Get(ctx)
	for name, err := range map[string]error{"get": get, "delete": e.Delete(ctx)} {
		if !errors.Is(err, ErrKeyringMissing) || !errors.Is(err, ErrKeyring) {
			t.Errorf("%s after delete: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.Set(ended, secret); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The kernel itself says that the key has an end (proc_keys(5), fourth column),
// and a key that has ended is missing.
func TestKernelKeyEnds(t *testing.T) {
	e := kernelEntry(t)
	if keys, err := os.ReadFile("/proc/keys"); err != nil {
		t.Logf("SKIPPED: /proc/keys: %v", err)
	} else {
		for line := range strings.Lines(string(keys)) {
			if strings.Contains(line, e.name) && strings.Fields(line)[3] == "perm" {
				t.Errorf("no end: %s", line)
			}
		}
	}
	id, err := e.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_REVOKE, id, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(t.Context()); !errors.Is(err, ErrKeyringMissing) {
		t.Errorf("revoked: %v", err)
	}
}

func TestKernelKeyringOpensVault(t *testing.T) {
	e := kernelEntry(t)
	path := filepath.Join(dir(t), "vault")
	v := create(t, path, sample(), PassphraseSlot(pass, cheap()))
	if id, err := FileID(path); err != nil || id != v.ID() {
		t.Fatalf("%s %v", id, err)
	}
	if err := v.Remember(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got := open(t, path, Remembered(e)).copyOf(t); got.Account.Name != "alice" {
		t.Fatalf("%+v", got)
	}
	if err := e.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Remembered(e)); !errors.Is(err, ErrKeyringMissing) {
		t.Error(err)
	}
}

func TestKernelKeyringCauses(t *testing.T) {
	for in, want := range map[error]error{
		unix.ENOKEY: ErrKeyringMissing, unix.EKEYEXPIRED: ErrKeyringMissing, unix.EKEYREVOKED: ErrKeyringMissing,
		unix.ENOSYS: ErrKeyringAbsent, unix.EPERM: ErrKeyringAbsent, unix.EACCES: ErrKeyringDenied, unix.EDQUOT: unix.EDQUOT,
	} {
		if err := (KernelEntry{}).wrap(in); !errors.Is(err, want) || !errors.Is(err, ErrKeyring) {
			t.Errorf("%v: %v", in, err)
		}
	}
}

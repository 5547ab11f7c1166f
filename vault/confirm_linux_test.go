package vault

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cipherdeck/vault/private"
)

// unconfirmedEnv tells the child of the test below where to work.
const unconfirmedEnv = "CIPHERDECK_TEST_UNCONFIRMED"

// A save whose directory cannot be synced has happened all the same: a new slot
// that is on the disk must not have its keyring entry taken away again, and a
// rotated vault goes on under its new key. A directory that may be written and
// not read is one that cannot be opened for syncing; root may read all, so the
// work is a child's.
func TestSaveThatTheDiskDoesNotConfirm(t *testing.T) {
	if path := os.Getenv(unconfirmedEnv); path != "" {
		unconfirmed(t, path)
		return
	}
	where, err := os.MkdirTemp("", "unconfirmed") // one that nobody may reach
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(where) })
	exe, err := os.Executable()
	if err == nil {
		err = exec.Command("cp", exe, filepath.Join(where, "child")).Run()
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(where, "home"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(where, "child"), "-test.run", "^TestSaveThatTheDiskDoesNotConfirm$", "-test.v")
	cmd.Dir, cmd.Env = where, append(os.Environ(), unconfirmedEnv+"="+filepath.Join(where, "home"), "TMPDIR="+where)
	if os.Getuid() == 0 {
		const nobody = 65534
		for _, p := range []string{where, filepath.Join(where, "home")} {
			if err := os.Chown(p, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func unconfirmed(t *testing.T, home string) {
	path, k, other := filepath.Join(home, "vault"), &ring{}, &ring{}
	v := create(t, path, sample(), KeyringSlot(k))
	if err := v.Unconfirmed(); err != nil {
		t.Fatalf("a directory that can be synced: %v", err)
	}
	if err := os.Chmod(home, 0o300); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(home, 0o700)
	if _, err := v.AddSlot(t.Context(), KeyringSlot(other)); err != nil {
		t.Fatalf("add a slot: %v", err)
	}
	if err := v.Unconfirmed(); !errors.Is(err, private.ErrUnconfirmed) {
		t.Fatalf("not noticed: %v", err)
	}
	if other.secret == nil {
		t.Fatal("the entry of a slot that is on the disk was taken away")
	}
	open(t, path, FromKeyring(other))
	if r, err := v.RotateKey(t.Context(), nil, FromKeyring(k), FromKeyring(other)); err != nil || !r.Done {
		t.Fatalf("rotate: %+v %v", r, err)
	}
	if err := v.Update(func(s *State) error { s.Account.Name = "bea"; return nil }); err != nil {
		t.Fatalf("under the new key: %v", err)
	}
	if got := open(t, path, FromKeyring(k)).copyOf(t).Account.Name; got != "bea" {
		t.Errorf("got %q", got)
	}
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := v.Update(func(*State) error { return nil }); err != nil || v.Unconfirmed() != nil {
		t.Errorf("when it can be synced again: %v, %v", err, v.Unconfirmed())
	}
}

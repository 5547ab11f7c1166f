//go:build linux

package app

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What stands where a vault is remembered may be anything: opening the vault
// waits for none of it, and changes nothing that a link leads to.
func TestMemoryOfVaultsIsAFile(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	for name, put := range map[string]func(path string) error{
		"endless": func(path string) error { return os.Symlink("/dev/zero", path) },
		"pipe":    func(path string) error { return unix.Mkfifo(path, 0o600) },
		"link": func(path string) error {
			if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
				return err
			}
			return os.Symlink(other, path)
		},
	} {
		d := patient(t)
		d.open(t)
		v, _, err := d.a.opened()
		if err != nil {
			t.Fatal(err)
		}
		path := d.a.seenPath(v)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		d.a.Close()
		d.open(t)
		if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "mine" {
		t.Errorf("what the link leads to: %q %v", b, err)
	}
}

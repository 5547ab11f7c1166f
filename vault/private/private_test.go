package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func dir(t *testing.T) string {
	t.Helper()
	d := filepath.Join(t.TempDir(), "a", "b")
	if err := Dir(d); err != nil {
		t.Fatal(err)
	}
	return d
}

func fine([]byte) error { return nil }

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := Read(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(dir(t), "f")
	for i, text := range []string{"one", "two", "three"} {
		keep := ""
		if i > 0 {
			keep = path + ".bak"
		}
		if err := Write(path, []byte(text), keep, fine); err != nil {
			t.Fatal(err)
		}
	}
	if content(t, path) != "three" || content(t, path+".bak") != "two" {
		t.Fatal("wrong content")
	}
	if _, err := Read(path, 4); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	if _, err := Read(path+"x", 4); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestWriteThatFailsCheckChangesNothing(t *testing.T) {
	d := dir(t)
	path := filepath.Join(d, "f")
	if err := Write(path, []byte("old"), "", fine); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	err := Write(path, []byte("new"), path+".bak", func(b []byte) error {
		if string(b) != "new" {
			t.Errorf("read back %q", b)
		}
		return no
	})
	es, _ := os.ReadDir(d)
	if !errors.Is(err, no) || content(t, path) != "old" || len(es) != 1 {
		t.Fatalf("%v, %d files", err, len(es))
	}
}

// What a killed process left under the temporary names is replaced, and a link
// planted there is not followed.
func TestWriteOverLeftovers(t *testing.T) {
	d := dir(t)
	path, victim := filepath.Join(d, "f"), filepath.Join(d, "victim")
	os.WriteFile(path, []byte("old"), 0o600)
	os.WriteFile(victim, []byte("safe"), 0o600)
	os.Symlink(victim, path+".tmp")
	os.WriteFile(path+".bak.tmp", []byte("half"), 0o600)
	os.Link(path, path+".bak") // killed between keeping and renaming
	if err := Write(path, []byte("new"), path+".bak", fine); err != nil {
		t.Fatal(err)
	}
	es, _ := os.ReadDir(d)
	if content(t, path) != "new" || content(t, path+".bak") != "old" || content(t, victim) != "safe" || len(es) != 3 {
		t.Fatalf("%d files", len(es))
	}
}

func TestCheckRefuses(t *testing.T) {
	d := dir(t)
	path := filepath.Join(d, "f")
	os.WriteFile(path, nil, 0o600)
	os.Symlink(path, path+".link")
	if err := Check(path); err != nil {
		t.Fatal(err)
	}
	if err := Check(path + ".link"); !errors.Is(err, ErrPermissions) {
		t.Errorf("link: %v", err)
	}
	if err := Check(d); !errors.Is(err, ErrPermissions) {
		t.Errorf("directory: %v", err)
	}
	if os.Geteuid() == 0 {
		os.Chown(path, 12345, -1)
		if err := Check(path); !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), "chown") {
			t.Errorf("another's file: %v", err)
		}
	} else {
		t.Log("SKIPPED: another owner's file is checked only when the test runs as root")
	}
	os.Chmod(d, 0o777)
	if err := Dir(d); !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), "chmod 700 '"+d+"'") {
		t.Errorf("open directory: %v", err)
	}
}

func TestLockRefusesLink(t *testing.T) {
	path := filepath.Join(dir(t), "f")
	os.Symlink(path+".elsewhere", path+".lock")
	if unlock, err := Lock(path); err == nil {
		unlock()
		t.Fatal("followed a link")
	}
}

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(dir(t), "f")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(path, 0); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path+".lock") {
		t.Fatalf("second holder: %v", err)
	}
	unlock()
	if unlock, err = lock(path, 0); err != nil {
		t.Fatal(err)
	}
	unlock()
}

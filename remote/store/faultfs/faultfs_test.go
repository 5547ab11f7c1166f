//go:build linux

package faultfs_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cipherdeck/remote/store/faultfs"
)

func mount(t *testing.T, mode faultfs.Mode) (dir string, f *faultfs.FS) {
	t.Helper()
	dir = t.TempDir()
	f, err := faultfs.Mount(dir, "", mode)
	if errors.Is(err, faultfs.ErrNoFUSE) {
		t.Skipf("SKIPPED: no power is cut: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir, f
}

// step is one thing done to the file system.
type step func(t *testing.T, dir string)

func write(name, text string, flags int, flush bool) step {
	return func(t *testing.T, dir string) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|flags, 0o600)
		check(t, err)
		_, err = f.WriteString(text)
		check(t, err)
		if flush {
			check(t, f.Sync())
		}
		check(t, f.Close())
	}
}

func flushDir(name string) step {
	return func(t *testing.T, dir string) {
		f, err := os.Open(filepath.Join(dir, name))
		check(t, err)
		check(t, f.Sync())
		check(t, f.Close())
	}
}

func rename(a, b string) step {
	return func(t *testing.T, dir string) { check(t, os.Rename(filepath.Join(dir, a), filepath.Join(dir, b))) }
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCut shows what is there after a cut: the tool is worth what it forgets.
func TestCut(t *testing.T) {
	old := []step{write("a", "old", 0, true), flushDir(".")}
	remove := func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "a"))) }
	mkdir := func(t *testing.T, dir string) { check(t, os.Mkdir(filepath.Join(dir, "d"), 0o700)) }
	for name, c := range map[string]struct {
		steps           []step
		strict, ordered string
	}{
		"nothing was flushed":              {[]step{write("a", "x", 0, false)}, "", ""},
		"a file without its folder":        {[]step{write("a", "x", 0, true)}, "", "a=x"},
		"a folder without its file":        {[]step{write("a", "x", 0, false), flushDir(".")}, "a=", "a="},
		"both":                             {old, "a=old", "a=old"},
		"overwritten, not flushed":         {append(old, write("a", "new", 0, false)), "a=old", "a=old"},
		"overwritten with O_SYNC":          {append(old, write("a", "new", os.O_SYNC, false)), "a=new", "a=new"},
		"emptied, not flushed":             {append(old, write("a", "", os.O_TRUNC, false)), "a=old", "a=old"},
		"emptied and shorter":              {append(old, write("a", "n", os.O_TRUNC, true)), "a=n", "a=n"},
		"appended, not flushed":            {append(old, write("a", "er", os.O_APPEND, false)), "a=old", "a=old"},
		"appended":                         {append(old, write("a", "er", os.O_APPEND, true)), "a=older", "a=older"},
		"removed, not flushed":             {append(old, remove), "a=old", "a=old"},
		"removed":                          {append(old, remove, flushDir(".")), "", ""},
		"renamed, not flushed":             {append(old, rename("a", "b")), "a=old", "a=old"},
		"renamed":                          {append(old, rename("a", "b"), flushDir(".")), "b=old", "b=old"},
		"replaced by rename, not flushed":  {append(old, write("t", "new", 0, true), rename("t", "a")), "a=old", "a=old t=new"},
		"replaced by rename":               {append(old, write("t", "new", 0, true), rename("t", "a"), flushDir(".")), "a=new", "a=new"},
		"replaced by a file never flushed": {append(old, write("t", "new", 0, false), rename("t", "a"), flushDir(".")), "a=", "a="},
		"in a folder that was not flushed": {[]step{mkdir, write("d/x", "x", 0, true), flushDir("d")}, "", "d/x=x"},
		"in a folder":                      {[]step{mkdir, write("d/x", "x", 0, true), flushDir("d"), flushDir(".")}, "d/x=x", "d/x=x"},
	} {
		for mode, wanted := range map[faultfs.Mode]string{faultfs.Strict: c.strict, faultfs.Ordered: c.ordered} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				dir, f := mount(t, mode)
				for _, s := range c.steps {
					s(t, dir)
				}
				to := t.TempDir()
				check(t, f.Survive(to, nil))
				if got := tree(t, to); got != wanted {
					t.Errorf("after the cut: %q, want %q", got, wanted)
				}
			})
		}
	}
}

// TestTorn looks for halves of what was not flushed, and for nothing else.
func TestTorn(t *testing.T) {
	dir, f := mount(t, faultfs.Ordered)
	write("a", "flushed", 0, true)(t, dir)
	write("a", "+more", os.O_APPEND, false)(t, dir)
	seen := map[string]bool{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		to := t.TempDir()
		check(t, f.Survive(to, rnd))
		got := strings.TrimPrefix(tree(t, to), "a=")
		if !strings.HasPrefix("flushed+more", got) || len(got) < len("flushed") {
			t.Fatalf("after the cut: %q", got)
		}
		seen[got] = true
	}
	if len(seen) != len("+more")+1 {
		t.Errorf("only %d ways to tear it", len(seen))
	}
}

// tree is all files below a folder.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	check(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all = append(all, rel+"="+string(b))
		return err
	}))
	return strings.Join(all, " ")
}

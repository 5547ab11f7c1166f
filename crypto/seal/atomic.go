package seal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// writeWhole makes the file out from what write gives, or leaves the directory
// as it was. in is the input, which out must not be.
//
// Only a process killed in between leaves a ".cipherdeck-….part" behind; its
// name says that it may be deleted.
func writeWhole(out string, in os.FileInfo, force bool, write func(*os.File) error) (err error) {
	if err := checkOutput(out, in, force); err != nil {
		return err
	}
	return writeTemp(out, write, func(tmp string) error { return publish(tmp, out, force) })
}

// writeTemp writes and flushes a temporary file beside out, and leaves it to
// name to give it its name.
func writeTemp(out string, write func(*os.File) error, name func(tmp string) error) (err error) {
	dir := filepath.Dir(out)
	tmp, err := createTemp(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if err := write(tmp); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", out, err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("close %s: %w", out, err)
	}
	if err := name(tmp.Name()); err != nil {
		return err
	}
	return syncDir(dir)
}

// checkOutput refuses early what cannot end well.
func checkOutput(out string, in os.FileInfo, force bool) error {
	if st, err := os.Stat(out); err == nil && os.SameFile(st, in) {
		return fmt.Errorf("%s: %w; choose another output", out, ErrSameFile)
	}
	st, err := os.Lstat(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s: %w: it is a directory", out, ErrExists)
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s: %w: it is a %s and would be replaced, not written to; use standard output for that", out, ErrExists, kind(st.Mode()))
	case !force:
		return fmt.Errorf("%s: %w; choose another name or force", out, ErrExists)
	}
	return nil
}

func createTemp(dir string) (*os.File, error) {
	var b [8]byte
	rand.Read(b[:])
	name := filepath.Join(dir, ".cipherdeck-"+hex.EncodeToString(b[:])+".part")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) { // the folder, not a name that nobody typed
		return nil, &fs.PathError{Op: "write into the folder", Path: dir, Err: fs.ErrNotExist}
	}
	return f, err
}

// publish gives the temporary file its name. Without force it must not replace
// a file that appeared meanwhile: a hard link refuses to, a rename does not.
func publish(tmp, out string, force bool) error {
	if force {
		return os.Rename(tmp, out)
	}
	err := os.Link(tmp, out)
	if err == nil {
		return os.Remove(tmp)
	}
	if _, there := os.Lstat(out); there == nil {
		return fmt.Errorf("%s: %w; it appeared meanwhile", out, ErrExists)
	}
	return os.Rename(tmp, out) // a file system without hard links
}

// syncDir makes the new name survive a power cut. Windows has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

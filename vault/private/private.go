// Package private keeps files that only their owner may read or change.
//
// A secret file is safe only if its directory is: whoever may write to the
// directory can put another file in its place. Check therefore looks at both.
// Write never leaves a half-written file under the real name: a new file is
// written beside it, synced, read back and checked, and then renamed over it.
//
// On Windows the permission checks do nothing: a user's profile is protected
// by inherited access lists, which are not examined here.
package private

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The errors of this package.
var (
	// ErrPermissions: others than the owner could read or replace the file.
	ErrPermissions = errors.New("file is not private")
	// ErrLocked: another process held the lock for the whole waiting time.
	ErrLocked = errors.New("file is locked by another process")
	// ErrTooLarge: the file is larger than the caller allows.
	// ErrUnconfirmed: the file has its new content, but the disk did not confirm
	// its name, so a power cut may bring back the old one.
	ErrUnconfirmed = errors.New("saved, but the disk did not confirm it")
	ErrTooLarge    = errors.New("file is larger than allowed")
)

// patience is how long Lock waits; a save takes some milliseconds.
const (
	patience = 10 * time.Second
	retry    = 5 * time.Millisecond
)

// Dir makes dir and its parents with mode 0700 where they are missing, and
// refuses a directory that others may write to. Errors wrap ErrPermissions.
func Dir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return checkDir(dir)
}

// Check refuses a file that is not regular, that group or others have any
// right on, or that lies in a directory others may write to. Errors wrap
// ErrPermissions, or fs.ErrNotExist.
func Check(path string) error {
	if err := checkDir(filepath.Dir(path)); err != nil {
		return err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: it is a %s, want a regular file", path, ErrPermissions, fi.Mode().Type())
	}
	return checkMode(path, fi)
}

// Read returns the whole of a file that passes Check and has at most limit
// bytes. Errors wrap those of Check, or ErrTooLarge.
func Read(path string, limit int64) ([]byte, error) {
	if err := Check(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: %w: limit %d bytes", path, ErrTooLarge, limit)
	}
	return b, nil
}

// Write replaces path with data, mode 0600, or changes nothing; but for an error
// that wraps ErrUnconfirmed, when it is replaced. check is given
// the bytes as they read back from the new file before it takes the old one's
// place. If keep is not empty the old file stays under that name.
//
// The caller holds Lock(path), or knows in another way that nobody else
// writes: a new file left behind by a killed process is removed.
func Write(path string, data []byte, keep string, check func(readBack []byte) error) (err error) {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	if err := create(tmp, data); err != nil {
		return err
	}
	back, err := os.ReadFile(tmp)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%s: what was written does not read back", tmp)
	}
	if err := check(back); err != nil {
		return fmt.Errorf("%s: what was written does not open again: %w", tmp, err)
	}
	if keep != "" {
		if err := backup(path, keep); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	return nil
}

// create writes a new file and waits until it is on the disk. O_EXCL: a link
// planted under the name is not followed.
func create(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Keep gives the file at path the second name keep, in place of what had that
// name. The same conditions as for Write hold.
func Keep(path, keep string) error { return backup(path, keep) }

// backup gives the current file a second name. The name is never missing in
// between: the link is made beside it and renamed over it. A file system
// without hard links gets a copy.
func backup(path, keep string) error {
	tmp := keep + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, tmp); err != nil {
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := create(tmp, old); err != nil {
			os.Remove(tmp)
			return fmt.Errorf("keep the old file: %w", err)
		}
	}
	err := os.Rename(tmp, keep)
	// Renaming one hard link over another to the same file does nothing (POSIX
	// rename), so the temporary name may still be there.
	os.Remove(tmp)
	return err
}

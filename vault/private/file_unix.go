//go:build unix

package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Lock takes the exclusive lock that stands beside path (path + ".lock") and
// returns how to release it. The lock is flock(2): it dies with its holder, so
// no lock can be stale and its age means nothing. The file stays: removing it
// would let two holders lock two different files of one name.
//
// Errors wrap ErrLocked after 10 s of waiting.
func Lock(path string) (unlock func(), err error) { return lock(path, patience) }

func lock(path string, patience time.Duration) (unlock func(), err error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); ; time.Sleep(retry) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EWOULDBLOCK):
			if time.Now().After(end) {
				f.Close()
				return nil, fmt.Errorf("%s: %w", name, ErrLocked)
			}
		default:
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

func checkDir(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s: not a directory", dir)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: %w: the directory has mode %04o, others could replace its files; run: chmod 700 '%s'",
			dir, ErrPermissions, fi.Mode().Perm(), dir)
	}
	return checkOwner(dir, fi)
}

func checkMode(path string, fi fs.FileInfo) error {
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: %w: it has mode %04o, others could read it; run: chmod 600 '%s'",
			path, ErrPermissions, fi.Mode().Perm(), path)
	}
	return checkOwner(path, fi)
}

// checkOwner lets root own what we use, because root can anyway.
func checkOwner(path string, fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: %w: it belongs to user %d, want %d; run: chown %d '%s'",
			path, ErrPermissions, st.Uid, os.Geteuid(), os.Geteuid(), path)
	}
	return nil
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

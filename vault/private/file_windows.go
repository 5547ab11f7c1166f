package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// Lock takes the exclusive lock that stands beside path (path + ".lock") and
// returns how to release it. It is LockFileEx: the system drops it with its
// holder. Errors wrap ErrLocked after 10 s of waiting.
func Lock(path string) (unlock func(), err error) { return lock(path, patience) }

func lock(path string, patience time.Duration) (unlock func(), err error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); ; time.Sleep(retry) {
		err := windows.LockFileEx(windows.Handle(f.Fd()),
			windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, windows.ERROR_LOCK_VIOLATION) && !errors.Is(err, windows.ERROR_IO_PENDING):
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		case time.Now().After(end):
			f.Close()
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
	}
}

func checkDir(dir string) error {
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s: not a directory", dir)
	}
	return err
}

func checkMode(string, fs.FileInfo) error { return nil }

// syncDir: NTFS journals a rename by itself, and a directory cannot be synced.
func syncDir(string) error { return nil }

//go:build linux || darwin

package app

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// coreDumps reports whether a crash may be written to a file.
func coreDumps() (on, known bool) {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &l)
	return l.Cur != 0, err == nil
}

// freeBytes is what a user may still write.
func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	return st.Bavail * uint64(st.Bsize), err
}

func ownerOf(path string) (uint32, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, os.ErrInvalid
	}
	return st.Uid, nil
}

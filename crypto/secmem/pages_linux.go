package secmem

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// hide keeps pages out of core dumps and of children made by fork.
func hide(p []byte) bool {
	_ = unix.Madvise(p, unix.MADV_DONTFORK)
	return unix.Madvise(p, unix.MADV_DONTDUMP) == nil
}

// Harden makes the process unreadable for others of the same user: no core
// dumps, no ptrace, and /proc/PID/mem belongs to root. It holds until the next
// program is executed. The error says what the system refused.
func Harden() error {
	var err error
	if e := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); e != nil {
		err = fmt.Errorf("make the process undumpable: %w", e)
	}
	if e := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); e != nil {
		err = errors.Join(err, fmt.Errorf("forbid core dumps: %w", e))
	}
	return err
}

// LockAll keeps every page that this process has or will have from swap: for a
// server or a node, whose private keys lie in ordinary memory. It is done only
// where there is no limit, since with one a later allocation would end the
// process. The error wraps ErrLimit, or says what the system refused.
func LockAll() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	if l.Cur != unix.RLIM_INFINITY {
		return fmt.Errorf("%w: %d bytes may be locked", ErrLimit, l.Cur)
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}

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

//go:build unix && !linux

package secmem

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hide: there is no way that all of these systems share.
func hide([]byte) bool { return false }

// Harden forbids core dumps. The error says what the system refused.
func Harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

// LockAll is not built for this system: it returns ErrLimit.
func LockAll() error { return ErrLimit }

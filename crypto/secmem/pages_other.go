//go:build !unix

package secmem

func mapPages(int) ([]byte, Protection) { return nil, Protection{} }

func unmapPages([]byte) {}

// Harden does nothing on this system.
func Harden() error { return nil }

// LockAll is not built for this system: it returns ErrLimit.
func LockAll() error { return ErrLimit }

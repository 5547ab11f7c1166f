//go:build unix

package secmem

import "golang.org/x/sys/unix"

// mapPages is at least n bytes of pages that nothing else lies in, or nil.
func mapPages(n int) ([]byte, Protection) {
	size := unix.Getpagesize()
	p, err := unix.Mmap(-1, 0, max(1, (n+size-1)/size)*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, Protection{}
	}
	return p, Protection{Pages: true, Locked: unix.Mlock(p) == nil, NoDump: hide(p)}
}

// unmapPages needs no munlock: unmapping does it. Errors cannot be helped.
func unmapPages(p []byte) { _ = unix.Munmap(p) }

// Package secmem keeps keys in memory that the system treats with care.
//
// A Buffer has pages of its own, outside of what the garbage collector moves
// and copies: locked, so that they are not written to swap; kept out of core
// dumps; not inherited by a fork; overwritten when they are given back. What the
// system refuses is reported by Protection and is no error: a key in ordinary
// memory is better than no program. Harden does the same for the process, LockAll
// for all of its memory.
//
// Linux has all of it. macOS and the BSDs lock pages, but cannot keep them out
// of dumps. On Windows a Buffer is ordinary memory that is overwritten.
//
// What it does not do. A key is copied to the stack and to registers while it
// is used, and by whatever it is given to; a debugger of the same user or root
// can read it where Harden is not in force; hibernation writes locked pages to
// the disk. Do erases the first of these, in a program that was built with Go's
// experiment for it (make secret); in others it only calls.
package secmem

import (
	"errors"
	"sync"
)

// ErrLimit is wrapped when the system does not let a program lock all of its
// memory: see LockAll.
var ErrLimit = errors.New("memory cannot be locked without limit")

// Protection tells what the system granted.
type Protection struct {
	Locked bool // not written to swap
	NoDump bool // not in core dumps
	Pages  bool // pages of its own, that are given back when wiped
}

// Buffer is some bytes in careful memory. Its methods may be called from many
// goroutines, but the bytes are not guarded against Wipe: see Use.
type Buffer struct {
	mu    sync.RWMutex
	b     []byte
	pages []byte // what b is the beginning of, as mapped; nil if ordinary memory
	got   Protection
}

// New is a buffer of len(secret) bytes with a copy of secret, which the caller
// wipes.
func New(secret []byte) *Buffer {
	b := &Buffer{}
	b.pages, b.got = mapPages(len(secret))
	if b.pages != nil {
		b.b = b.pages[:len(secret):len(secret)]
	} else {
		b.b = make([]byte, len(secret))
	}
	copy(b.b, secret)
	return b
}

// Use calls f with the bytes, or with nil if they were wiped. f must not keep
// them: when it has returned they may be gone, and reading them then ends the
// program. Wipe waits for it.
func (b *Buffer) Use(f func(secret []byte)) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	f(b.b)
}

// Protection tells what the system granted for this buffer.
func (b *Buffer) Protection() Protection { return b.got }

// Wipe overwrites the bytes and gives the pages back. Wiping twice is harmless.
func (b *Buffer) Wipe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.b)
	b.b = nil
	if b.pages != nil {
		unmapPages(b.pages)
		b.pages = nil
	}
}

// String hides the bytes.
func (*Buffer) String() string { return "secmem.Buffer(hidden)" }

// GoString hides the bytes from %#v.
func (b *Buffer) GoString() string { return b.String() }

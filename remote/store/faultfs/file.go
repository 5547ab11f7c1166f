//go:build linux

package faultfs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// handle is an open file; what is written through one that was opened with
// O_SYNC is flushed at once.
type handle struct{ sync bool }

func open(flags uint32) *handle { return &handle{sync: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0} }

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if flags&syscall.O_TRUNC != 0 {
		n.truncate(0)
	}
	return open(flags), 0, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	data := n.live.data[min(int(off), len(n.live.data)):]
	return fuse.ReadResultData(append([]byte{}, data[:min(len(data), len(dest))]...)), 0
}

func (n *node) Write(_ context.Context, h fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	at := int(off)
	n.from = min(n.from, at, len(n.live.data))
	if end := at + len(data); end > len(n.live.data) {
		n.live.data = append(n.live.data, make([]byte, end-len(n.live.data))...)
	}
	copy(n.live.data[at:], data)
	if h, ok := h.(*handle); ok && h.sync {
		n.flush()
	}
	return uint32(len(data)), 0
}

// Fsync is asked of folders as well.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.flush()
	return 0
}

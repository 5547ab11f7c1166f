//go:build linux

package faultfs

import (
	"context"
	"maps"
	"math"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a folder, twice.
type node struct {
	fs.Inode
	fs   *FS
	dir  bool
	mode uint32
	live state
	disk state
	from int // the first byte that was written and not flushed; math.MaxInt when there is none
}

// state is what a node holds, in one of its two places.
type state struct {
	data  []byte           // of a file
	names map[string]*node // of a folder
}

func (f *FS) newDir(mode uint32) *node {
	return &node{fs: f, dir: true, mode: mode, from: math.MaxInt,
		live: state{names: map[string]*node{}}, disk: state{names: map[string]*node{}}}
}

func (f *FS) newFile(mode uint32) *node { return &node{fs: f, mode: mode, from: math.MaxInt} }

func (n *node) clean() bool { return n.from == math.MaxInt }

// flush carries a node to the disk. Only the bytes that changed are copied.
func (n *node) flush() {
	n.fs.flushes++
	if n.dir {
		n.disk.names = maps.Clone(n.live.names)
	} else {
		same := min(n.from, len(n.live.data), len(n.disk.data))
		n.disk.data = append(n.disk.data[:same], n.live.data[same:]...)
		n.from = math.MaxInt
	}
	if n.fs.mode == Ordered {
		n.fs.root.names()
	}
}

// names carries all names below a folder to the disk, and no bytes.
func (n *node) names() {
	if !n.dir {
		return
	}
	n.disk.names = maps.Clone(n.live.names)
	for _, child := range n.live.names {
		child.names()
	}
}

func (n *node) fill(a *fuse.Attr) {
	a.Mode, a.Nlink = n.mode|syscall.S_IFREG, 1
	if n.dir {
		a.Mode = n.mode | syscall.S_IFDIR
	}
	a.Size = uint64(len(n.live.data))
	a.Blocks = (a.Size + 511) / 512
}

// hand gives the kernel a node under a name.
func (n *node) hand(ctx context.Context, child *node, out *fuse.EntryOut) *fs.Inode {
	child.fill(&out.Attr)
	if i := child.EmbeddedInode(); i.Operations() != nil {
		return i
	}
	kind := uint32(syscall.S_IFREG)
	if child.dir {
		kind = syscall.S_IFDIR
	}
	return n.NewInode(ctx, child, fs.StableAttr{Mode: kind})
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.fill(&out.Attr)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if size, ok := in.GetSize(); ok && !n.dir {
		n.truncate(int(size))
	}
	if mode, ok := in.GetMode(); ok {
		n.mode = mode & 0o7777
	}
	n.fill(&out.Attr)
	return 0
}

func (n *node) truncate(size int) {
	n.from = min(n.from, size, len(n.live.data))
	n.live.data = append(n.live.data[:min(size, len(n.live.data))], make([]byte, max(0, size-len(n.live.data)))...)
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Blocks, out.Bfree, out.Bavail = 4096, 1<<20, 1<<20, 1<<20
	out.NameLen = 255
	return 0
}

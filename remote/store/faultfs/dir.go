//go:build linux

package faultfs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	child, ok := n.live.names[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	return n.hand(ctx, child, out), 0
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	var all []fuse.DirEntry
	for name, child := range n.live.names {
		e := fuse.DirEntry{Name: name, Mode: syscall.S_IFREG}
		if child.dir {
			e.Mode = syscall.S_IFDIR
		}
		all = append(all, e)
	}
	return fs.NewListDirStream(all), 0
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	child, ok := n.live.names[name]
	switch {
	case ok && flags&syscall.O_EXCL != 0:
		return nil, nil, 0, syscall.EEXIST
	case ok:
		child.truncate(0)
	default:
		child = n.fs.newFile(mode & 0o7777)
		n.live.names[name] = child
	}
	return n.hand(ctx, child, out), open(flags), 0, 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if _, ok := n.live.names[name]; ok {
		return nil, syscall.EEXIST
	}
	child := n.fs.newDir(mode & 0o7777)
	n.live.names[name] = child
	return n.hand(ctx, child, out), 0
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	if _, ok := n.live.names[name]; !ok {
		return syscall.ENOENT
	}
	delete(n.live.names, name)
	return 0
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	child, ok := n.live.names[name]
	switch {
	case !ok:
		return syscall.ENOENT
	case len(child.live.names) > 0:
		return syscall.ENOTEMPTY
	}
	delete(n.live.names, name)
	return 0
}

func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, to string, flags uint32) syscall.Errno {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	child, ok := n.live.names[name]
	target, isNode := parent.(*node)
	switch {
	case flags != 0 || !isNode:
		return syscall.EINVAL
	case !ok:
		return syscall.ENOENT
	}
	if old := target.live.names[to]; old != nil && len(old.live.names) > 0 {
		return syscall.ENOTEMPTY
	}
	delete(n.live.names, name)
	target.live.names[to] = child
	return 0
}

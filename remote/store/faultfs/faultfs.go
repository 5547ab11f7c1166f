//go:build linux

// Package faultfs is a file system, mounted by FUSE, that forgets at a power
// cut what was not flushed. It is for tests only, and in no program.
//
// Everything is in memory, twice: as processes see it, and as the disk has it.
// A flush of a file carries its bytes from the one to the other, a flush of a
// folder its names. What is on the disk after the cut is written to a real
// folder, where the program under test is started again.
//
// Two readings of what a flush means, because file systems differ:
//
//   - Strict, as POSIX has it: a file that was made or renamed is there after
//     the cut only if its folder was flushed.
//   - Ordered, as ext4 and XFS do it: any flush carries all names there are to
//     the disk, so that a file can be there under its name and be empty.
//
// With Torn a part of what was written and not flushed is there too: a disk may
// write what nobody asked it to, and may do so by half.
package faultfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Mode is what a flush means.
type Mode int

// The modes.
const (
	Strict Mode = iota
	Ordered
)

func (m Mode) String() string { return [...]string{"strict", "ordered"}[m] }

// ErrNoFUSE is wrapped when this machine cannot mount.
var ErrNoFUSE = errors.New("no FUSE here: it needs /dev/fuse and the right to mount, as root has")

// FS is a mounted file system.
type FS struct {
	mode   Mode
	server *fuse.Server

	mu      sync.Mutex
	root    *node
	flushes int
}

// Mount makes a file system at dir that holds what the folder from holds, as
// though it had been there for ever; from "" is empty.
func Mount(dir, from string, mode Mode) (*FS, error) {
	f := &FS{mode: mode}
	f.root = f.newDir(0o700)
	if from != "" {
		if err := f.root.load(from); err != nil {
			return nil, err
		}
	}
	opts := &fs.Options{}
	opts.DirectMount = true
	opts.FsName, opts.Name = "faultfs", "faultfs"
	server, err := fs.Mount(dir, f.root, opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	f.server = server
	return f, nil
}

// Close takes the file system away. Nothing may have a file of it open.
func (f *FS) Close() error { return f.server.Unmount() }

// Flushes is how many flushes there were.
func (f *FS) Flushes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flushes
}

// Survive writes what the disk has now into the folder to. With torn, each
// file may also have a part of what was not flushed.
func (f *FS) Survive(to string, torn *rand.Rand) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.root.survive(to, torn)
}

// load fills a folder from a real one; all of it is on the disk.
func (n *node) load(from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(from, e.Name())
		child := n.fs.newDir(0o700)
		if e.IsDir() {
			err = child.load(path)
		} else {
			child = n.fs.newFile(0o600)
			child.live.data, err = os.ReadFile(path)
			child.disk.data = append([]byte{}, child.live.data...)
		}
		if err != nil {
			return err
		}
		n.live.names[e.Name()], n.disk.names[e.Name()] = child, child
	}
	return nil
}

func (n *node) survive(to string, torn *rand.Rand) error {
	if !n.dir {
		return os.WriteFile(to, n.afterCut(torn), 0o600)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for name, child := range n.disk.names {
		if err := child.survive(filepath.Join(to, name), torn); err != nil {
			return err
		}
	}
	return nil
}

// afterCut is a file's bytes on the disk, and by chance the beginning of what
// was written behind them.
func (n *node) afterCut(torn *rand.Rand) []byte {
	out := append([]byte{}, n.disk.data...)
	if torn == nil || n.clean() || torn.IntN(2) == 0 {
		return out
	}
	more := n.live.data[min(n.from, len(n.live.data)):]
	if len(more) == 0 {
		return out
	}
	out = append(out[:min(n.from, len(out))], make([]byte, max(0, n.from-len(out)))...)
	return append(out, more[:torn.IntN(len(more)+1)]...)
}

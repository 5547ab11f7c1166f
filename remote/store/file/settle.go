package file

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"cipherdeck/crypto/id"
)

// folders are the directories of which this process knows that a power cut
// leaves them: those it has flushed itself. That a directory exists says
// nothing, since whoever made it may not have come to flushing it. Two levels
// of 256 names each are 8 KiB of bits.
type folders struct {
	mu    sync.Mutex
	upper [256 / 64]uint64
	leaf  [256 * 256 / 64]uint64
}

func (f *folders) kept(i id.ID) (upper, leaf bool) {
	u, l := places(i)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.upper[u/64]>>(u%64)&1 == 1, f.leaf[l/64]>>(l%64)&1 == 1
}

func (f *folders) keep(i id.ID) {
	u, l := places(i)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.upper[u/64] |= 1 << (u % 64)
	f.leaf[l/64] |= 1 << (l % 64)
}

func places(i id.ID) (upper, leaf int) { return int(i[0]), int(i[0])<<8 | int(i[1]) }

// settle moves a whole upload to its place and makes the move durable: the
// directory it came to is flushed each time, those above it only until they are
// known to be there.
func (b *Blobs) settle(tmp string, i id.ID) error {
	path := b.path(i)
	leaf := filepath.Dir(path)
	upperKept, leafKept := b.folders.kept(i)
	err := os.Rename(tmp, path)
	if errors.Is(err, os.ErrNotExist) { // the first blob here, or somebody took the directory away
		upperKept, leafKept = false, false
		if err := os.MkdirAll(leaf, 0o700); err != nil {
			return err
		}
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return err
	}
	flush := []string{leaf}
	if !leafKept {
		flush = append(flush, filepath.Dir(leaf))
	}
	if !upperKept {
		flush = append(flush, b.root)
	}
	for _, dir := range flush {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	b.folders.keep(i)
	return nil
}

// MakeDir makes dir and what is missing above it, readable by its owner only,
// so that a power cut leaves them. A name that is there already is flushed too:
// whoever made it may not have come to that.
func MakeDir(dir string) error {
	above := filepath.Dir(dir)
	if _, err := os.Stat(above); errors.Is(err, os.ErrNotExist) && above != dir {
		if err := MakeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(above)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

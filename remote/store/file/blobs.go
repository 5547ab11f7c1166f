// Package file keeps blobs as files named by their hash.
//
//	ROOT/ab/cd/abcd….  one blob, 64 hex digits
//	ROOT/tmp/…         uploads that are not whole yet
//
// A blob is written beside its place, hashed while it is written, flushed,
// renamed, and its directory flushed, with those above it when they are new: a
// power cut leaves a whole blob or none, and Put returns only when it is whole on disk. No name is ever visible for
// bytes that do not match it.
package file

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Blobs is a directory of blobs.
type Blobs struct {
	root    string
	max     int64
	folders folders
	buffers sync.Pool // of *buffers
}

var _ store.Blobs = (*Blobs)(nil)

// Open makes root if needed, readable by its owner only, for blobs of at most
// max bytes. It removes uploads that an earlier process left unfinished, so
// only one process at a time may have a root open.
func Open(root string, max int64) (*Blobs, error) {
	tmp := filepath.Join(root, "tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return nil, fmt.Errorf("clear %s: %w", tmp, err)
	}
	return Join(root, max)
}

// Join is the root that another process has open, so it clears nothing.
func Join(root string, max int64) (*Blobs, error) {
	if err := MakeDir(root); err != nil {
		return nil, fmt.Errorf("make %s: %w", root, err)
	}
	if err := os.MkdirAll(filepath.Join(root, "tmp"), 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", root, err)
	}
	return &Blobs{root: root, max: max, buffers: sync.Pool{New: func() any { return new(buffers) }}}, nil
}

// Has says which ids are there. It does not read them.
func (b *Blobs) Has(ctx context.Context, ids []id.ID) ([]bool, error) {
	out := make([]bool, len(ids))
	for n, i := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		_, err := os.Lstat(b.path(i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
		}
		out[n] = err == nil
	}
	return out, nil
}

// Put reads exactly size bytes named i. A blob that is there already is
// written again, which heals it if it was damaged.
func (b *Blobs) Put(ctx context.Context, i id.ID, size int64, r io.Reader) error {
	if size < 0 || size > b.max {
		return fmt.Errorf("blob %s: %w: %d bytes, limit %d", i, store.ErrTooLarge, size, b.max)
	}
	tmp, err := os.CreateTemp(filepath.Join(b.root, "tmp"), "put-*")
	if err != nil {
		return fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
	}
	err = b.fill(ctx, tmp, i, size, r)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if err := b.settle(tmp.Name(), i); err != nil {
		return fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
	}
	return nil
}

// Get opens the blob; its last byte comes only if the whole of it is right.
func (b *Blobs) Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error) {
	f, err := os.Open(b.path(i))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("blob %s: %w", i, store.ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err), f.Close())
	}
	if info.Size() <= pieceSize {
		return opened{store.Verify(ctxReader{ctx, f}, i, info.Size()), f}, info.Size(), nil
	}
	a := b.readAhead(f)
	return opened{store.Verify(ctxReader{ctx, a}, i, info.Size()), a}, info.Size(), nil
}

// Delete removes the blob, durably.
func (b *Blobs) Delete(_ context.Context, i id.ID) error {
	path := b.path(i)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
	}
	return nil
}

func (b *Blobs) path(i id.ID) string {
	name := hex.EncodeToString(i[:])
	return filepath.Join(b.root, name[:2], name[2:4], name)
}

// opened is a blob that is read and verified, and its file.
type opened struct {
	io.Reader
	io.Closer
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

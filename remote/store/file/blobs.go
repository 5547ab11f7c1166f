// Package file keeps blobs as files named by their hash.
//
//	ROOT/ab/cd/abcd….  one blob, 64 hex digits
//	ROOT/tmp/…         uploads that are not whole yet
//
// A blob is written beside its place, hashed while it is written, flushed,
// renamed, and its directory flushed: a power cut leaves a whole blob or none,
// and Put returns only when it is whole on disk. No name is ever visible for
// bytes that do not match it.
package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Blobs is a directory of blobs.
type Blobs struct {
	root string
	max  int64
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
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", tmp, err)
	}
	return &Blobs{root: root, max: max}, nil
}

// Join is the root that another process has open, so it clears nothing.
func Join(root string, max int64) (*Blobs, error) {
	if err := os.MkdirAll(filepath.Join(root, "tmp"), 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", root, err)
	}
	return &Blobs{root: root, max: max}, nil
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
	err = fill(ctx, tmp, i, size, r)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if err := b.settle(tmp.Name(), i); err != nil {
		return fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
	}
	return nil
}

// fill copies, checks and flushes; it asks r for one byte too many, so that
// a longer body does not pass as the blob it begins with.
func fill(ctx context.Context, f *os.File, i id.ID, size int64, r io.Reader) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(ctxReader{ctx, r}, size+1))
	if err != nil {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	if n != size || !bytes.Equal(h.Sum(nil), i[:]) {
		return fmt.Errorf("blob %s of %d bytes: %w", i, size, store.ErrMismatch)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
	}
	return nil
}

// settle moves a whole upload to its place and makes the move durable, every
// directory that had to be made for it included.
func (b *Blobs) settle(tmp string, i id.ID) error {
	path := b.path(i)
	leaf := filepath.Dir(path)
	if err := os.MkdirAll(leaf, 0o700); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	for _, dir := range []string{leaf, filepath.Dir(leaf), b.root} {
		if err := syncDir(dir); err != nil {
			return err
		}
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
	r := store.Verify(ctxReader{ctx, f}, i, info.Size())
	return struct {
		io.Reader
		io.Closer
	}{r, f}, info.Size(), nil
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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

// Package sftp keeps blobs as files on another machine, by SFTP:
//
//	DIR/NAME/ab/abcd…       one blob, 64 hex digits
//	DIR/NAME/part/….part    uploads that are not whole yet
//
// A blob is written beside its place, flushed where the other side offers
// that, and renamed over it; so a break leaves a whole blob or none. The
// protocol cannot flush a directory: what a power cut on the other machine
// takes back is the name of a blob that was put moments before.
//
// The other machine is believed nothing: its host key is pinned, what it
// returns is checked against its name, and it is sent what was checked.
package sftp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"sync"

	"github.com/pkg/sftp"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Blobs is one directory of blobs.
type Blobs struct {
	c   *Conn
	dir string
	max int64

	mu    sync.Mutex
	clean bool // unfinished uploads of an earlier process are removed
}

var _ store.Blobs = (*Blobs)(nil)

// Blobs is the blobs in the directory name, of at most max bytes each. Only
// one process at a time may use it.
func (c *Conn) Blobs(name string, max int64) *Blobs {
	return &Blobs{c: c, dir: path.Join(c.dir, name), max: max}
}

// parallel is how many files are asked for at a time.
const parallel = 32

// Has says which ids are there. It does not read them.
func (b *Blobs) Has(ctx context.Context, ids []id.ID) ([]bool, error) {
	return store.HasEach(ids, parallel, func(i id.ID) error {
		return b.c.do(ctx, func(c *sftp.Client) error {
			_, err := c.Lstat(b.path(i))
			return err
		})
	})
}

// Put reads exactly size bytes named i, checks them, and sends them. A blob
// that is there already is written again, which heals it.
func (b *Blobs) Put(ctx context.Context, i id.ID, size int64, r io.Reader) error {
	body, err := store.Whole(ctx, i, size, b.max, r)
	if err != nil {
		return err
	}
	err = b.c.do(ctx, func(c *sftp.Client) error {
		if err := b.cleanUp(c); err != nil {
			return err
		}
		part := path.Join(b.dir, "part", rand.Text()+".part")
		if err := write(c, part, body); err != nil {
			return errors.Join(err, c.Remove(part))
		}
		if err := c.MkdirAll(path.Dir(b.path(i))); err != nil {
			return err
		}
		return c.PosixRename(part, b.path(i))
	})
	if err != nil {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	return nil
}

// cleanUp makes the directory of uploads, and once removes what is in it.
func (b *Blobs) cleanUp(c *sftp.Client) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clean {
		return nil
	}
	dir := path.Join(b.dir, "part")
	if err := c.MkdirAll(dir); err != nil {
		return err
	}
	left, err := c.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range left {
		if err := c.Remove(path.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	b.clean = true
	return nil
}

// write makes a file of body, flushed if the other side can.
func write(c *sftp.Client, name string, body []byte) (err error) {
	f, err := c.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.ReadFrom(bytes.NewReader(body)); err != nil {
		return err
	}
	if _, can := c.HasExtension("fsync@openssh.com"); can {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Chmod(0o600)
}

// Get reads the blob and checks it. It is small, and read with many requests
// on their way at a time, which a reader of one packet after another is not.
func (b *Blobs) Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error) {
	var body bytes.Buffer
	err := b.c.do(ctx, func(c *sftp.Client) error {
		body.Reset()
		return read(c, b.path(i), i, b.max, &body)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s: %w", i, err)
	}
	return io.NopCloser(&body), int64(body.Len()), nil
}

func read(c *sftp.Client, name string, i id.ID, max int64, into *bytes.Buffer) (err error) {
	f, err := c.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > max {
		return fmt.Errorf("%w: longer than it was", store.ErrCorrupt)
	}
	into.Grow(int(info.Size()))
	if _, err := f.WriteTo(into); err != nil {
		return err
	}
	if id.Of(into.Bytes()) != i {
		return fmt.Errorf("%w: its hash is another", store.ErrCorrupt)
	}
	return nil
}

// Delete removes the blob.
func (b *Blobs) Delete(ctx context.Context, i id.ID) error {
	err := b.c.do(ctx, func(c *sftp.Client) error { return c.Remove(b.path(i)) })
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	return nil
}

// List walks the directories. What is not named like a blob is none.
func (b *Blobs) List(ctx context.Context) iter.Seq2[store.BlobInfo, error] {
	return func(yield func(store.BlobInfo, error) bool) {
		dirs, err := b.readDir(ctx, b.dir)
		for _, d := range dirs {
			var files []fs.FileInfo
			if len(d.Name()) == 2 && d.IsDir() {
				files, err = b.readDir(ctx, path.Join(b.dir, d.Name()))
			}
			if err != nil {
				break
			}
			for _, f := range files {
				i, ok := parse(f.Name())
				if ok && !yield(store.BlobInfo{ID: i, Size: f.Size(), At: f.ModTime()}, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(store.BlobInfo{}, fmt.Errorf("list blobs: %w", err))
		}
	}
}

// readDir is what is in dir: nothing when it is not there.
func (b *Blobs) readDir(ctx context.Context, dir string) (all []fs.FileInfo, err error) {
	err = b.c.do(ctx, func(c *sftp.Client) (err error) {
		all, err = c.ReadDir(dir)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return all, err
}

func (b *Blobs) path(i id.ID) string {
	name := hex.EncodeToString(i[:])
	return path.Join(b.dir, name[:2], name)
}

func parse(name string) (i id.ID, ok bool) {
	if len(name) != 2*len(i) {
		return i, false
	}
	_, err := hex.Decode(i[:], []byte(name))
	return i, err == nil
}

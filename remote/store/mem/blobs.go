package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Blobs is blobs in memory.
type Blobs struct {
	max   int64
	mu    sync.Mutex
	blobs map[id.ID][]byte
}

var _ store.Blobs = (*Blobs)(nil)

// NewBlobs is an empty set of blobs of at most max bytes each.
func NewBlobs(max int64) *Blobs { return &Blobs{max: max, blobs: map[id.ID][]byte{}} }

// Has says which ids are there.
func (b *Blobs) Has(ctx context.Context, ids []id.ID) ([]bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]bool, len(ids))
	for n, i := range ids {
		_, out[n] = b.blobs[i]
	}
	return out, ctx.Err()
}

// Put reads exactly size bytes named i.
func (b *Blobs) Put(ctx context.Context, i id.ID, size int64, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if size < 0 || size > b.max {
		return fmt.Errorf("blob %s: %w: %d bytes, limit %d", i, store.ErrTooLarge, size, b.max)
	}
	body, err := io.ReadAll(io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	if int64(len(body)) != size || id.Of(body) != i {
		return fmt.Errorf("blob %s of %d bytes: %w", i, size, store.ErrMismatch)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blobs[i] = body
	return nil
}

// Get opens the blob and says how long it is.
func (b *Blobs) Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, ok := b.blobs[i]
	if !ok {
		return nil, 0, fmt.Errorf("blob %s: %w", i, store.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(body)), int64(len(body)), ctx.Err()
}

// Delete forgets the blob.
func (b *Blobs) Delete(ctx context.Context, i id.ID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.blobs, i)
	return ctx.Err()
}

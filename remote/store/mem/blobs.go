package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"sync"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Blobs is blobs in memory.
type Blobs struct {
	max   int64
	mu    sync.Mutex
	blobs map[id.ID]blob
}

type blob struct {
	body []byte
	at   time.Time
}

var _ store.Blobs = (*Blobs)(nil)

// NewBlobs is an empty set of blobs of at most max bytes each.
func NewBlobs(max int64) *Blobs { return &Blobs{max: max, blobs: map[id.ID]blob{}} }

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
	body, err := store.Whole(ctx, i, size, b.max, r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blobs[i] = blob{body, time.Now()}
	return nil
}

// Get opens the blob and says how long it is.
func (b *Blobs) Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, ok := b.blobs[i]
	if !ok {
		return nil, 0, fmt.Errorf("blob %s: %w", i, store.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(have.body)), int64(len(have.body)), ctx.Err()
}

// Delete forgets the blob.
func (b *Blobs) Delete(ctx context.Context, i id.ID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.blobs, i)
	return ctx.Err()
}

// List names what is there when it begins.
func (b *Blobs) List(ctx context.Context) iter.Seq2[store.BlobInfo, error] {
	return func(yield func(store.BlobInfo, error) bool) {
		b.mu.Lock()
		all := maps.Clone(b.blobs)
		b.mu.Unlock()
		for i, have := range all {
			if err := ctx.Err(); err != nil {
				yield(store.BlobInfo{}, err)
				return
			}
			if !yield(store.BlobInfo{ID: i, Size: int64(len(have.body)), At: have.at}, nil) {
				return
			}
		}
	}
}

// Package mirror keeps every blob twice, so that one that is damaged or lost
// in one place is healed from the other.
//
// A blob is put when both places have it. It is read from the first place; when
// that one cannot give it whole, from the second, and then the first is mended
// on the way. Scrub does the same for every blob and both directions.
package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Blobs is two places for the same blobs.
type Blobs struct {
	first, second store.Blobs
	max           int64
	healed        func(i id.ID, why error)
}

var (
	_ store.Blobs  = (*Blobs)(nil)
	_ store.Mender = (*Blobs)(nil)
)

// New joins two places. healed, which may be nil, is told of every blob that
// was mended in one of them, and what was wrong with it.
func New(first, second store.Blobs, max int64, healed func(id.ID, error)) *Blobs {
	if healed == nil {
		healed = func(id.ID, error) {}
	}
	return &Blobs{first, second, max, healed}
}

// Has says which ids are there in at least one place: Get finds those.
func (b *Blobs) Has(ctx context.Context, ids []id.ID) ([]bool, error) {
	one, err := b.first.Has(ctx, ids)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	two, err2 := b.second.Has(ctx, ids)
	if err != nil || err2 != nil {
		if err != nil && err2 != nil {
			return nil, errors.Join(err, err2)
		}
		if err != nil {
			return two, nil
		}
		return one, nil
	}
	for n := range one {
		one[n] = one[n] || two[n]
	}
	return one, nil
}

// Put is done when both places have the blob.
func (b *Blobs) Put(ctx context.Context, i id.ID, size int64, r io.Reader) error {
	body, err := store.Whole(ctx, i, size, b.max, r)
	if err != nil {
		return err
	}
	other := make(chan error, 1)
	go func() { other <- b.second.Put(ctx, i, size, bytes.NewReader(body)) }()
	err = b.first.Put(ctx, i, size, bytes.NewReader(body))
	if err2 := <-other; err2 != nil {
		err = errors.Join(err, fmt.Errorf("second copy: %w", err2))
	}
	return err
}

// Get reads the blob where it is whole. The error is that of the first place
// when no place has it whole, but ErrNotFound only if both say so.
func (b *Blobs) Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error) {
	body, err := read(ctx, b.first, i, b.max)
	if err != nil {
		var err2 error
		if body, err2 = read(ctx, b.second, i, b.max); err2 != nil {
			if errors.Is(err, store.ErrNotFound) {
				err = err2
			}
			return nil, 0, err
		}
		b.mend(ctx, b.first, i, body, err)
	}
	return io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
}

// mend puts a blob where it is damaged or lacking. That this fails is for the
// scrub to say: the reader has his blob.
func (b *Blobs) mend(ctx context.Context, place store.Blobs, i id.ID, body []byte, why error) bool {
	if !mendable(why) || place.Put(ctx, i, int64(len(body)), bytes.NewReader(body)) != nil {
		return false
	}
	b.healed(i, why)
	return true
}

func mendable(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound)
}

// Mend reads blob i in both places and mends what it can; whether it had to,
// and the error when a place is left without a good copy.
func (b *Blobs) Mend(ctx context.Context, i id.ID) (bool, error) {
	one, err := read(ctx, b.first, i, b.max)
	two, err2 := read(ctx, b.second, i, b.max)
	switch {
	case err == nil && err2 == nil:
		return false, nil
	case err == nil && b.mend(ctx, b.second, i, one, err2), err2 == nil && b.mend(ctx, b.first, i, two, err):
		return true, nil
	}
	return false, errors.Join(err, err2)
}

func read(ctx context.Context, place store.Blobs, i id.ID, max int64) ([]byte, error) {
	r, n, err := place.Get(ctx, i)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if n > max {
		return nil, fmt.Errorf("blob %s: %w: %d bytes, limit %d", i, store.ErrCorrupt, n, max)
	}
	return io.ReadAll(r)
}

// Delete removes the blob from both places.
func (b *Blobs) Delete(ctx context.Context, i id.ID) error {
	return errors.Join(b.first.Delete(ctx, i), b.second.Delete(ctx, i))
}

// List names what is in at least one place.
func (b *Blobs) List(ctx context.Context) iter.Seq2[store.BlobInfo, error] {
	return func(yield func(store.BlobInfo, error) bool) {
		seen := map[id.ID]struct{}{}
		for _, place := range []store.Blobs{b.first, b.second} {
			for info, err := range place.List(ctx) {
				if _, known := seen[info.ID]; known && err == nil {
					continue
				}
				seen[info.ID] = struct{}{}
				if !yield(info, err) || err != nil {
					return
				}
			}
		}
	}
}

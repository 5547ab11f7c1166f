package store

import (
	"context"
	"errors"
	"io"

	"cipherdeck/crypto/id"
)

// Mender is Blobs with more than one copy of each.
type Mender interface {
	// Mend reads every copy of blob i and puts a good one in the place of each
	// that is not; it says whether it had to. The error is that of a copy that
	// is still not good.
	Mend(ctx context.Context, i id.ID) (bool, error)
}

// Finding is a blob that was not as it should be: mended, or not.
type Finding struct {
	ID     id.ID
	Mended bool
	Err    error
}

// Scrubbed is what a scrub has read.
type Scrubbed struct {
	Blobs, Bytes int64
}

// Scrub reads every blob, every copy of it, and tells of each that is damaged
// or lacks a copy. The error is for what kept it from reading on.
func Scrub(ctx context.Context, b Blobs, tell func(Finding)) (n Scrubbed, err error) {
	for info, err := range b.List(ctx) {
		if err != nil {
			return n, err
		}
		f := check(ctx, b, info.ID)
		switch {
		case errors.Is(f.Err, ErrNotFound) && !errors.Is(f.Err, ErrCorrupt) && !errors.Is(f.Err, ErrUnavailable):
			continue // it was deleted meanwhile
		case ctx.Err() != nil:
			return n, ctx.Err()
		case f.Mended || f.Err != nil:
			tell(f)
		}
		n.Blobs, n.Bytes = n.Blobs+1, n.Bytes+info.Size
	}
	return n, nil
}

func check(ctx context.Context, b Blobs, i id.ID) Finding {
	if m, ok := b.(Mender); ok {
		mended, err := m.Mend(ctx, i)
		return Finding{i, mended, err}
	}
	r, _, err := b.Get(ctx, i)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		err = errors.Join(err, r.Close())
	}
	return Finding{ID: i, Err: err}
}

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"cipherdeck/crypto/id"
)

// Verify reads r, which should be the size bytes named i. It hands out the
// last byte only after the hash of all of them is right, and fails with
// ErrCorrupt otherwise: who copies to the end never holds a damaged whole.
func Verify(r io.Reader, i id.ID, size int64) io.Reader {
	return &verifier{r: r, want: i, left: size, h: sha256.New()}
}

type verifier struct {
	r    io.Reader
	want id.ID
	left int64
	h    hash.Hash
	done bool
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.done {
		return 0, io.EOF
	}
	if v.left == 0 {
		return 0, v.finish()
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := v.r.Read(p[:min(int64(len(p)), v.left)])
	v.h.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if err := v.finish(); err != io.EOF {
			return 0, err
		}
		return n, io.EOF
	case err == io.EOF:
		return 0, fmt.Errorf("blob %s: %w: %d bytes short", v.want, ErrCorrupt, v.left)
	default:
		return n, err
	}
}

// finish is io.EOF when the bytes were right and nothing follows them.
func (v *verifier) finish() error {
	var extra [1]byte
	if n, _ := io.ReadFull(v.r, extra[:]); n != 0 {
		return fmt.Errorf("blob %s: %w: longer than it was", v.want, ErrCorrupt)
	}
	if id.ID(v.h.Sum(nil)) != v.want {
		return fmt.Errorf("blob %s: %w: its hash is another", v.want, ErrCorrupt)
	}
	v.done = true
	return io.EOF
}

// Whole reads the size bytes named i, of at most max, for an engine that must
// have them all before it sends the first one. Errors: ErrTooLarge, ErrMismatch.
func Whole(ctx context.Context, i id.ID, size, max int64, r io.Reader) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if size < 0 || size > max {
		return nil, fmt.Errorf("blob %s: %w: %d bytes, limit %d", i, ErrTooLarge, size, max)
	}
	var b bytes.Buffer
	b.Grow(int(size) + 1 + bytes.MinRead)
	// One byte more, so that a longer body does not pass as the blob it begins with.
	if _, err := b.ReadFrom(io.LimitReader(r, size+1)); err != nil {
		return nil, fmt.Errorf("blob %s: %w", i, err)
	}
	if int64(b.Len()) != size || id.Of(b.Bytes()) != i {
		return nil, fmt.Errorf("blob %s of %d bytes: %w", i, size, ErrMismatch)
	}
	return b.Bytes(), nil
}

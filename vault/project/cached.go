package project

import (
	"bytes"
	"context"
	"io"

	"cipherdeck/crypto/id"
)

// Cache keeps blobs by name on this machine. They are ciphertext and signed
// links, as they lie on the server. What Get returns is checked against its
// name by whoever asks, so a cache needs no trust either. Put may forget.
type Cache interface {
	Get(i id.ID) ([]byte, bool)
	Put(i id.ID, b []byte)
	Has(i id.ID) bool
}

// What is kept: nodes, links and small pieces when they are sent, and pieces of
// items of no great length when they are read.
const (
	maxKept = 128 << 10
	maxItem = 64 << 20
)

// past is the server itself, for what is too long to be kept.
func past(srv Server) Server {
	if c, ok := srv.(*cached); ok {
		return c.Server
	}
	return srv
}

// Cached is srv with a cache in front: a blob that was read or written here is
// not fetched again.
func Cached(srv Server, c Cache) Server { return &cached{srv, c} }

type cached struct {
	Server
	c Cache
}

// Head keeps the newest link too: a project is opened from it without a server.
func (s *cached) Head(ctx context.Context, key string) ([]byte, uint64, error) {
	b, rev, err := s.Server.Head(ctx, key)
	if err == nil && !s.c.Has(id.Of(b)) {
		s.c.Put(id.Of(b), b)
	}
	return b, rev, err
}

// GetBlob gives what the cache has, if it is whole, and else asks the server.
func (s *cached) GetBlob(ctx context.Context, i id.ID, off, n int64) (io.ReadCloser, error) {
	if off != 0 || n >= 0 {
		return s.Server.GetBlob(ctx, i, off, n)
	}
	if b, ok := s.c.Get(i); ok && id.Of(b) == i {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	r, err := s.Server.GetBlob(ctx, i, 0, -1)
	if err != nil {
		return nil, err
	}
	return &kept{ReadCloser: r, c: s.c, i: i}, nil
}

// PutBlob stores a blob and keeps it.
func (s *cached) PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error {
	if n > maxKept {
		return s.Server.PutBlob(ctx, i, n, r)
	}
	if b, ok := r.(*bytes.Reader); ok { // what this package sends: can be read again
		all := make([]byte, n)
		if _, err := b.ReadAt(all, 0); err == nil {
			if err := s.Server.PutBlob(ctx, i, n, r); err != nil {
				return err
			}
			s.c.Put(i, all)
			return nil
		}
	}
	return s.Server.PutBlob(ctx, i, n, r)
}

// kept copies what is read into the cache, once all of it came and is whole.
type kept struct {
	io.ReadCloser
	c    Cache
	i    id.ID
	seen bytes.Buffer
	full bool // too long to be kept
}

// Read passes everything on.
func (k *kept) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	if !k.full {
		k.seen.Write(p[:n])
		k.full = k.seen.Len() > maxPieceBlob
	}
	if err == io.EOF && !k.full {
		if id.Of(k.seen.Bytes()) == k.i {
			k.c.Put(k.i, k.seen.Bytes())
		}
		k.full = true
	}
	return n, err
}

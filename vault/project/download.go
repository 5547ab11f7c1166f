package project

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
)

// Read decrypts the newest version of item it into w. Nothing is written that
// is not authenticated, but a failure in the middle leaves w with a beginning:
// write to a temporary name. Errors wrap ErrNoKey or ErrDamaged.
func (p *Project) Read(ctx context.Context, it Item, w io.Writer, sink progress.Sink) error {
	return p.ReadVersion(ctx, it, 0, w, sink)
}

// ReadVersion is Read for one version; 0 is the newest.
func (p *Project) ReadVersion(ctx context.Context, it Item, rev uint64, w io.Writer, sink progress.Sink) error {
	r, err := p.Record(ctx, it.ID)
	if err != nil {
		return err
	}
	v, err := r.Version(rev)
	if err != nil {
		return err
	}
	sink.Phase("open "+r.Name, v.Size, progress.Bytes)
	return p.read(ctx, r, v, func(_ int, plain []byte) error {
		_, err := w.Write(plain)
		sink.Add(int64(len(plain)))
		return err
	})
}

// read gives the plaintext of v piece by piece, without its padding.
func (p *Project) read(ctx context.Context, r Record, v Version, take func(n int, plain []byte) error) error {
	key, err := p.itemKey(r, v.Key)
	if err != nil {
		return err
	}
	ids, err := v.PieceIDs(ctx, p.nodes(), r.ID)
	if err != nil {
		return damaged(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	left := v.Size
	srv := p.srv
	if v.Size > maxItem {
		srv = past(srv)
	}
	free := make(chan []byte, atOnce)
	for range atOnce {
		free <- nil
	}
	for k, next := range ahead(ctx, srv, ids, free) {
		f := <-next
		if f.err != nil {
			return f.err
		}
		plain, err := cobblestone.Open(key, pieceContext(r.ID, k), f.blob)
		free <- f.blob
		if err != nil {
			return fmt.Errorf("%w: piece %d of %q", ErrDamaged, k, r.Name)
		}
		plain = plain[:min(int64(len(plain)), left)]
		left -= int64(len(plain))
		if err := take(k, plain); err != nil {
			return err
		}
	}
	if left != 0 {
		return fmt.Errorf("%w: %q lacks %d bytes", ErrDamaged, r.Name, left)
	}
	return nil
}

type fetched struct {
	blob []byte
	err  error
}

// ahead fetches blobs a few at a time, into memory from free, and gives them in
// order. Whoever takes one puts its memory back.
func ahead(ctx context.Context, srv Server, ids []id.ID, free chan []byte) func(func(int, <-chan fetched) bool) {
	start := func(i id.ID) <-chan fetched {
		c := make(chan fetched, 1)
		go func() {
			b, err := readPiece(ctx, srv, i, <-free)
			c <- fetched{b, err}
		}()
		return c
	}
	return func(yield func(int, <-chan fetched) bool) {
		var waiting []<-chan fetched
		for k := range ids {
			for len(waiting) < atOnce && k+len(waiting) < len(ids) {
				waiting = append(waiting, start(ids[k+len(waiting)]))
			}
			next := waiting[0]
			waiting = waiting[1:]
			if !yield(k, next) {
				return
			}
		}
	}
}

// readPiece is ReadBlob for a piece, into buf when it has the room: an item has
// thousands of pieces, and memory that is thrown away adds up.
func readPiece(ctx context.Context, srv Server, i id.ID, buf []byte) ([]byte, error) {
	if cap(buf) < maxPieceBlob+1 {
		buf = make([]byte, maxPieceBlob+1)
	}
	r, err := srv.GetBlob(ctx, i, 0, -1)
	if err != nil {
		return buf[:0], err
	}
	defer r.Close()
	n, err := io.ReadFull(r, buf[:maxPieceBlob+1])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return buf[:0], err
	}
	if n > maxPieceBlob || id.Of(buf[:n]) != i {
		return buf[:0], fmt.Errorf("%w: blob %s does not match its name", ErrDamaged, i.Short())
	}
	return buf[:n], nil
}

package cobblestone

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

const batchPlain, batchSealed = batchChunks * ChunkSize, batchChunks * sealedSize

var errClosed = errors.New("cobblestone: write after Close or Abort")

// Writer encrypts a stream. It is an io.Writer and io.ReaderFrom for one
// goroutine; io.Copy into it is the fast way.
type Writer struct {
	p    *pipeline
	b    *batch // being filled; never full between calls
	next int64  // number of the first chunk of b
	err  error
}

// NewWriter writes the header of a message to dst and returns a Writer of the
// rest. End with Close, which makes the message whole, or Abort, which leaves
// it invalid; until then dst is written from other goroutines, one at a time.
func NewWriter(dst io.Writer, key [KeySize]byte, context []byte) (*Writer, error) {
	m, header, err := newMessage(key, context)
	if err != nil {
		return nil, err
	}
	if n, err := dst.Write(header); whole(n, len(header), err) != nil {
		return nil, whole(n, len(header), err)
	}
	work := func(b *batch) {
		b.out = slices.Grow(b.out[:0], len(b.in)+(len(b.in)/ChunkSize+1)*tagSize)
		b.out = m.seal(b.out, b.in, b.first, b.last)
	}
	emit := func(out []byte) error {
		n, err := dst.Write(out)
		return whole(n, len(out), err)
	}
	return &Writer{p: newPipeline(work, emit)}, nil
}

// Write takes plaintext. An error of dst comes back here or at Close.
func (w *Writer) Write(plain []byte) (int, error) {
	n := len(plain)
	for len(plain) > 0 {
		if err := w.ready(); err != nil {
			return n - len(plain), err
		}
		in := w.b.in
		k := copy(in[len(in):cap(in)], plain)
		w.b.in, plain = in[:len(in)+k], plain[k:]
		w.flushFull()
	}
	return n, nil
}

// ReadFrom takes plaintext from src until io.EOF, reading into place.
func (w *Writer) ReadFrom(src io.Reader) (n int64, err error) {
	for {
		if err := w.ready(); err != nil {
			return n, err
		}
		in := w.b.in
		k, err := src.Read(in[len(in):cap(in)])
		if k < 0 || k > cap(in)-len(in) {
			return n, fmt.Errorf("cobblestone: source returned a count of %d", k)
		}
		w.b.in = in[:len(in)+k]
		n += int64(k)
		w.flushFull()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Close writes the last chunk and waits for all writes to dst. It does not
// close dst. Only if it returns nil is the message whole.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if err := w.ready(); err != nil {
		return err
	}
	w.b.last = true
	w.submit()
	w.err = errClosed
	return w.p.wait()
}

// Abort waits for writes to dst under way and gives the message up: what dst
// has of it will not open. After Close it does nothing.
func (w *Writer) Abort() {
	if w.err == nil {
		w.err = errClosed
	}
	w.p.wait()
}

// ready makes w.b a batch with room, unless the stream has failed.
func (w *Writer) ready() error {
	if w.err == nil && w.p.dead.Load() {
		w.err = w.p.wait()
	}
	if w.err == nil && w.next+batchChunks > maxChunks {
		w.err = ErrTooLong
	}
	if w.err != nil {
		return w.err
	}
	if w.b == nil {
		w.b = w.p.get()
	}
	w.b.in = room(w.b.in, batchPlain)
	return nil
}

func (w *Writer) flushFull() {
	if len(w.b.in) == batchPlain {
		w.submit()
	}
}

func (w *Writer) submit() {
	w.b.first = w.next
	w.next += batchChunks
	w.p.submit(w.b)
	w.b = nil
}

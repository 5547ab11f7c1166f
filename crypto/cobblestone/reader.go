package cobblestone

import (
	"fmt"
	"io"
	"runtime"
	"slices"
)

// Reader decrypts a stream. It is an io.Reader and io.WriterTo for one
// goroutine; io.Copy out of it is the fast way. It returns io.EOF only after
// the last chunk has authenticated; after an error it returns that error for
// ever, and never a byte that did not authenticate.
type Reader struct {
	src     io.Reader
	m       *message
	next    int64 // number of the first chunk not yet read from src
	ended   bool  // src has nothing more to give
	err     error
	queue   []*pending // batches at work, oldest first, for Read
	unread  []byte     // of current
	current *pending   // taken from queue; used again when it is read
}

// pending is a batch that Read waits for.
type pending struct {
	batch
	ready chan struct{}
}

// NewReader reads the header of a message from src, which must end where the
// message ends. Errors wrap ErrAuth when key or context are not the message's,
// ErrTruncated when there is no whole header. The Reader reads ahead of what it
// returns.
func NewReader(src io.Reader, key [KeySize]byte, context []byte) (*Reader, error) {
	header := make([]byte, HeaderSize)
	if n, err := io.ReadFull(src, header); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("%w: %d bytes, the header alone has %d", ErrTruncated, n, HeaderSize)
	} else if err != nil {
		return nil, err
	}
	m, err := openMessage(key, header, context)
	if err != nil {
		return nil, err
	}
	return &Reader{src: src, m: m}, nil
}

// Read returns authenticated plaintext.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.unread) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

// advance makes the oldest batch readable, after putting others to work.
func (r *Reader) advance() error {
	for !r.ended && len(r.queue) <= runtime.GOMAXPROCS(0) {
		b := &pending{ready: make(chan struct{})}
		if old := r.current; old != nil {
			b.in, b.out, r.current = old.in, old.out, nil
		}
		r.fill(&b.batch)
		r.queue = append(r.queue, b)
		go func() {
			r.m.work(&b.batch)
			close(b.ready)
		}()
	}
	if len(r.queue) == 0 {
		r.err = io.EOF
		return r.err
	}
	b := r.queue[0]
	r.queue = r.queue[1:]
	<-b.ready
	r.current, r.unread, r.err = b, b.out, b.err
	return nil
}

// WriteTo writes all the plaintext that is left to dst. It writes the chunks
// before a bad one too: only if it returns nil is the message whole.
func (r *Reader) WriteTo(dst io.Writer) (n int64, err error) {
	emit := func(out []byte) error {
		k, err := dst.Write(out)
		n += int64(k)
		return whole(k, len(out), err)
	}
	for len(r.unread) > 0 || len(r.queue) > 0 { // what Read had begun
		if err := emit(r.unread); err != nil {
			return n, err
		}
		if r.unread = nil; r.err != nil {
			break
		}
		if err := r.advance(); err != nil {
			break
		}
	}
	if r.err != nil {
		return n, notEOF(r.err)
	}
	p := newPipeline(r.m.work, emit)
	for !r.ended && !p.dead.Load() {
		b := p.get()
		r.fill(b)
		p.submit(b)
	}
	if r.err = p.wait(); r.err == nil {
		r.err = io.EOF
	}
	return n, notEOF(r.err)
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// fill reads the next batch of chunks from src. The work on it is told by its
// fields; an error of src other than its end comes after the chunks before it.
func (r *Reader) fill(b *batch) {
	b.first, b.in = r.next, b.in[:0]
	r.next += batchChunks
	var err error
	for len(b.in) < batchSealed && err == nil {
		b.in = room(b.in, batchSealed)
		var n int
		n, err = r.src.Read(b.in[len(b.in):cap(b.in)])
		b.in = b.in[:len(b.in)+n]
	}
	switch {
	case len(b.in) == batchSealed && (err == nil || err == io.EOF):
		if r.next > maxChunks-batchChunks {
			r.ended, b.err = true, ErrTooLong
		}
		// A source that said EOF together with its last byte says so again.
	case err == io.EOF:
		r.ended, b.last = true, true
	default:
		r.ended, b.err = true, err
	}
}

// work opens a batch; an error of reading it comes after what was read.
func (m *message) work(b *batch) {
	b.out = slices.Grow(b.out[:0], len(b.in))
	out, err := m.open(b.out, b.in, b.first, b.last)
	b.out = out
	if err != nil {
		b.err = err
	}
}

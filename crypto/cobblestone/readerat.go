package cobblestone

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// ReaderAt decrypts any part of a message. It is safe for use by several
// goroutines if its source is.
type ReaderAt struct {
	src  io.ReaderAt
	m    *message
	size int64 // of the plaintext
	head int64 // of the part of it that is shown, at most size
	bufs *sync.Pool
}

// NewReaderAt opens a message of size bytes in src. It authenticates the
// commitment and the last chunk, so that Size is true; other chunks are
// authenticated when they are read. Errors wrap ErrAuth or ErrTruncated.
func NewReaderAt(src io.ReaderAt, size int64, key [KeySize]byte, context []byte) (*ReaderAt, error) {
	if size < HeaderSize {
		return nil, fmt.Errorf("%w: %d bytes, the header alone has %d", ErrTruncated, size, HeaderSize)
	}
	header := make([]byte, HeaderSize)
	if err := readAt(src, header, 0); err != nil {
		return nil, err
	}
	m, err := openMessage(key, header, context)
	if err != nil {
		return nil, err
	}
	plain, err := PlainSize(size)
	if err != nil {
		return nil, err
	}
	r := &ReaderAt{src, m, plain, plain, &sync.Pool{New: func() any { return new([]byte) }}}
	return r, r.chunks(plain/ChunkSize, plain/ChunkSize, func([]byte) {})
}

// Size is the length of the plaintext.
func (r *ReaderAt) Size() int64 { return r.head }

// Head is r for the first n bytes alone, as if the plaintext ended there.
func (r *ReaderAt) Head(n int64) *ReaderAt {
	short := *r
	short.head = max(0, min(n, r.head))
	return &short
}

// ReadAt reads plaintext from offset off, as io.ReaderAt says.
func (r *ReaderAt) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("cobblestone: negative offset %d", off)
	}
	if off >= r.head {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.head-off)]
	for n < len(want) {
		at := off + int64(n)
		first, skip := at/ChunkSize, at%ChunkSize
		last := (off + int64(len(want)) - 1) / ChunkSize
		err := r.chunks(first, min(last, first+batchChunks-1), func(plain []byte) {
			n += copy(want[n:], plain[skip:])
			skip = 0
		})
		if err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// chunks reads the chunks first to last at once, opens them in place, and gives
// the plaintext of each, in order, to use.
func (r *ReaderAt) chunks(first, last int64, use func(plain []byte)) error {
	buf := r.bufs.Get().(*[]byte)
	defer func() {
		clear(*buf) // no plaintext waits there for the next one
		r.bufs.Put(buf)
	}()
	size := min((last-first+1)*sealedSize, r.size-first*ChunkSize+(last-first+1)*tagSize)
	*buf = slices.Grow((*buf)[:0], int(size))[:size]
	if err := readAt(r.src, *buf, HeaderSize+first*sealedSize); err != nil {
		return err
	}
	var nonce [nonceSize]byte
	for k := first; k <= last; k++ {
		sealed := (*buf)[(k-first)*sealedSize : min((k-first+1)*sealedSize, size)]
		plain, err := r.m.openChunk(sealed[:0], sealed, &nonce, k)
		if err != nil {
			return err
		}
		use(plain)
	}
	return nil
}

// readAt fills p. A source shorter than it was said to be is cut off.
func readAt(src io.ReaderAt, p []byte, off int64) error {
	n, err := src.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends before byte %d", ErrTruncated, off+int64(len(p)))
	}
	return err
}

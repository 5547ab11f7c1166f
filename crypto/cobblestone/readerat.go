package cobblestone

import (
	"errors"
	"fmt"
	"io"
)

// ReaderAt decrypts any part of a message. It is safe for use by several
// goroutines if its source is.
type ReaderAt struct {
	src  io.ReaderAt
	m    *message
	size int64 // of the plaintext
	head int64 // of the part of it that is shown, at most size
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
	r := &ReaderAt{src, m, plain, plain}
	_, err = r.chunk(nil, plain/ChunkSize)
	return r, err
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
	buf := make([]byte, 0, sealedSize)
	for n < len(want) {
		at := off + int64(n)
		plain, err := r.chunk(buf, at/ChunkSize)
		if err != nil {
			return n, err
		}
		n += copy(want[n:], plain[at%ChunkSize:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// chunk reads and opens chunk k in place, in buf if that is large enough.
func (r *ReaderAt) chunk(buf []byte, k int64) ([]byte, error) {
	n := min(r.size-k*ChunkSize, ChunkSize) + tagSize
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if err := readAt(r.src, buf, HeaderSize+k*sealedSize); err != nil {
		return nil, err
	}
	return r.m.openChunk(buf[:0], buf, new([nonceSize]byte), k)
}

// readAt fills p. A source shorter than it was said to be is cut off.
func readAt(src io.ReaderAt, p []byte, off int64) error {
	n, err := src.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends before byte %d", ErrTruncated, off+int64(len(p)))
	}
	return err
}

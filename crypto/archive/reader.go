package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"cipherdeck/crypto/doc"
)

// Reader lists an archive and reads single files of it. It is safe for use by
// several goroutines if its source is.
type Reader struct {
	src   io.ReaderAt
	index int64 // offset
	end   int64 // of the index
	count uint64
}

// NewReader opens an archive of size bytes; it reads only the two ends. Errors
// wrap ErrFormat or are those of src.
func NewReader(src io.ReaderAt, size int64) (*Reader, error) {
	head, tail := make([]byte, len(magic)), make([]byte, tailSize)
	r := &Reader{src: src, end: size - int64(tailSize)}
	if r.end < int64(len(magic))+4 {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrFormat, size)
	}
	if err := r.readAt(head, 0); err != nil {
		return nil, err
	}
	if err := r.readAt(tail, r.end); err != nil {
		return nil, err
	}
	r.index, r.count = int64(binary.BigEndian.Uint64(tail)), binary.BigEndian.Uint64(tail[8:])
	if string(head) != magic || string(tail[16:]) != magic || r.index < int64(len(magic))+4 || r.index > r.end {
		return nil, fmt.Errorf("%w: its ends do not fit", ErrFormat)
	}
	return r, nil
}

// Len is the number of entries.
func (r *Reader) Len() uint64 { return r.count }

// Entries lists the archive in order, reading only its index; memory does not
// grow with it. After an error there are no more entries. Errors are those of
// Stream.Next.
func (r *Reader) Entries() iter.Seq2[Entry, error] { return r.entries(nil) }

// entries is Entries for those headers alone that contain want: most need not
// be decoded to find one. The order is only checked if want is empty.
func (r *Reader) entries(want []byte) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		src := bufio.NewReaderSize(io.NewSectionReader(r.src, r.index, r.end-r.index), 64<<10)
		var o order
		for range r.count {
			header, offset, err := readRecord(src)
			if err == nil && !bytes.Contains(header, want) {
				continue
			}
			var e Entry
			if err == nil {
				e, err = decode(header, offset)
			}
			if err == nil && len(want) == 0 {
				err = o.next(e)
			}
			if err == nil && (offset < 0 || offset > r.index || e.Size > r.index-offset) {
				err = fmt.Errorf("%w: %s lies outside", ErrFormat, e)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		if _, err := src.ReadByte(); err != io.EOF {
			yield(Entry{}, fmt.Errorf("%w: its index has more than %d entries", ErrFormat, r.count))
		}
	}
}

func readRecord(src io.Reader) (header []byte, offset int64, err error) {
	var b [8]byte
	if _, err := io.ReadFull(src, b[:4]); err != nil {
		return nil, 0, cutOff(err, 0)
	}
	n := binary.BigEndian.Uint32(b[:])
	if n > maxHeader {
		return nil, 0, fmt.Errorf("%w: a header of %d bytes in the index, limit %d", ErrFormat, n, maxHeader)
	}
	header = make([]byte, n)
	if _, err := io.ReadFull(src, header); err != nil {
		return nil, 0, cutOff(err, 0)
	}
	_, err = io.ReadFull(src, b[:])
	return header, int64(binary.BigEndian.Uint64(b[:])), cutOff(err, 0)
}

// Find is the entry with this path. Errors wrap fs.ErrNotExist.
func (r *Reader) Find(path string) (Entry, error) {
	for e, err := range r.entries([]byte(path)) {
		if err != nil || e.Path == path {
			return e, err
		}
	}
	return Entry{}, fmt.Errorf("%s: %w in the archive", shown(clip(path)), fs.ErrNotExist)
}

// Open reads the data of a file that Entries or Find gave. It compares the
// header before the data with the one in the index. Errors wrap ErrFormat.
func (r *Reader) Open(e Entry) (*io.SectionReader, error) {
	want := doc.LP(e.header)
	got := make([]byte, len(want))
	if e.offset < int64(len(magic)+len(want)) {
		return nil, fmt.Errorf("%w: %s lies outside", ErrFormat, e)
	}
	if err := r.readAt(got, e.offset-int64(len(want))); err != nil {
		return nil, err
	}
	if !bytes.Equal(got, want) {
		return nil, fmt.Errorf("%w: the index does not list what the archive holds, at %s", ErrFormat, e)
	}
	return io.NewSectionReader(r.src, e.offset, e.Size), nil
}

func (r *Reader) readAt(b []byte, off int64) error {
	n, err := r.src.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	return cutOff(err, off+int64(n))
}

package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"cipherdeck/crypto/doc"
)

// Stream reads an archive in one pass, in constant memory.
type Stream struct {
	src   *bufio.Reader
	n     int64 // taken from src
	left  int64 // of the current entry's data
	count uint64
	size  int64     // of the index, as it must be
	index hash.Hash // of the index, as it must be
	order order
	err   error
}

// NewStream reads the beginning of an archive from src, which must end where
// the archive ends. Errors wrap ErrFormat or are those of src.
func NewStream(src io.Reader) (*Stream, error) {
	s := &Stream{src: bufio.NewReaderSize(src, 64<<10), index: sha256.New()}
	head := make([]byte, len(magic))
	if err := s.take(head); err != nil {
		return nil, err
	}
	if string(head) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrFormat)
	}
	return s, nil
}

// Next is the next entry, whose data Read then gives; data not read are passed
// over. It returns io.EOF only when the archive has ended as it must and its
// index lists exactly what was read. Errors wrap ErrFormat, ErrPath, ErrLink.
func (s *Stream) Next() (Entry, error) {
	if s.err != nil {
		return Entry{}, s.err
	}
	e, err := s.next()
	s.err = err
	return e, err
}

func (s *Stream) next() (Entry, error) {
	if _, err := io.Copy(io.Discard, s); err != nil {
		return Entry{}, err
	}
	var size [4]byte
	if err := s.take(size[:]); err != nil {
		return Entry{}, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 {
		return Entry{}, s.end()
	}
	if n > maxHeader {
		return Entry{}, fmt.Errorf("%w: entry %d has a header of %d bytes, limit %d", ErrFormat, s.count+1, n, maxHeader)
	}
	header := make([]byte, n)
	if err := s.take(header); err != nil {
		return Entry{}, err
	}
	e, err := decode(header, s.n)
	if err != nil {
		return Entry{}, err
	}
	if err := s.order.next(e); err != nil {
		return Entry{}, err
	}
	k, _ := s.index.Write(binary.BigEndian.AppendUint64(doc.LP(header), uint64(s.n))) // a hash takes everything
	s.size += int64(k)
	s.count++
	s.left = e.Size
	return e, nil
}

// end reads index and tail, compares both, and wants nothing after them.
func (s *Stream) end() error {
	at, h := s.n, sha256.New()
	if n, err := io.CopyN(h, s.src, s.size); err != nil {
		return cutOff(err, at+n)
	}
	if !bytes.Equal(h.Sum(nil), s.index.Sum(nil)) {
		return fmt.Errorf("%w: the index does not list what the archive holds", ErrFormat)
	}
	s.n += s.size
	tail := make([]byte, tailSize)
	if err := s.take(tail); err != nil {
		return err
	}
	want := binary.BigEndian.AppendUint64(nil, uint64(at))
	want = binary.BigEndian.AppendUint64(want, s.count)
	if !bytes.Equal(tail, append(want, magic...)) {
		return fmt.Errorf("%w: its tail does not fit", ErrFormat)
	}
	if _, err := s.src.ReadByte(); err == nil {
		return fmt.Errorf("%w: there is something after its end", ErrFormat)
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

// Read gives the data of the current entry, and then io.EOF.
func (s *Stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.src.Read(p[:min(int64(len(p)), s.left)])
	s.n += int64(n)
	s.left -= int64(n)
	if n > 0 {
		return n, nil // an error comes again
	}
	return n, cutOff(err, s.n)
}

func (s *Stream) take(b []byte) error {
	n, err := io.ReadFull(s.src, b)
	s.n += int64(n)
	return cutOff(err, s.n)
}

func cutOff(err error, at int64) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends early, at byte %d", ErrFormat, at)
	}
	return err
}

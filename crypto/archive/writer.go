package archive

import (
	"encoding/binary"
	"fmt"
	"io"

	"cipherdeck/crypto/doc"
)

const (
	magic    = "CDKARC\x00\x01"
	tailSize = 8 + 8 + len(magic)
)

// Writer makes an archive in one pass.
type Writer struct {
	dst   io.Writer
	n     int64 // written
	count uint64
	index []byte
	order order
	buf   []byte
}

// NewWriter begins an archive on dst. If dst is an io.ReaderFrom, data are read
// right into it.
func NewWriter(dst io.Writer) (*Writer, error) {
	w := &Writer{dst: dst}
	return w, w.write([]byte(magic))
}

// Add writes an entry; data must give e.Size bytes and may be nil if that is
// 0. Entries come sorted name by name, directories before what is in them.
// Errors wrap ErrPath, ErrLink, ErrFormat, or ErrChanged when data end early.
func (w *Writer) Add(e Entry, data io.Reader) error {
	header, err := e.encode()
	if err != nil {
		return err
	}
	if err := w.order.next(e); err != nil {
		return err
	}
	if err := w.write(doc.LP(header)); err != nil {
		return err
	}
	w.count++
	w.index = append(w.index, doc.LP(header)...)
	w.index = binary.BigEndian.AppendUint64(w.index, uint64(w.n))
	if e.Size == 0 {
		return nil
	}
	n, err := w.copy(&io.LimitedReader{R: data, N: e.Size})
	if w.n += n; err != nil {
		return err
	}
	if n != e.Size {
		return fmt.Errorf("%s: %w: it had %d bytes and gave %d", e, ErrChanged, e.Size, n)
	}
	return nil
}

func (w *Writer) copy(src *io.LimitedReader) (int64, error) {
	if to, ok := w.dst.(io.ReaderFrom); ok {
		return to.ReadFrom(src)
	}
	if w.buf == nil {
		w.buf = make([]byte, 256<<10)
	}
	return io.CopyBuffer(w.dst, src, w.buf)
}

// Close writes the index. It does not close dst.
func (w *Writer) Close() error {
	at := w.n + 4
	b := append(make([]byte, 4), w.index...)
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint64(b, w.count)
	return w.write(append(b, magic...))
}

func (w *Writer) write(b []byte) error {
	n, err := w.dst.Write(b)
	w.n += int64(n)
	return err
}

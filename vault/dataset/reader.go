package dataset

import (
	"errors"
	"io"
)

// Reader pulls records from a stream, in memory bounded by MaxRecord.
type Reader struct {
	src   io.Reader
	split splitter
	rec   Record
	buf   []byte
	r, w  int // buf[r:w] is read and not used
	tried int // bytes that did not make a record; a longer try doubles them
	eof   bool
	err   error
}

// NewReader reads the table called name, in format f, from src.
func NewReader(name string, f Format, src io.Reader) (*Reader, error) {
	s, err := newSplitter(name, f)
	if err != nil {
		return nil, err
	}
	return &Reader{src: src, split: s, buf: make([]byte, 256<<10)}, nil
}

// Columns are the names known after the last Next. CSV and TSV know them all
// after the first, whether or not there was a record; JSONL adds as it goes.
func (r *Reader) Columns() []string { return r.split.columns() }

// Next returns the next record, io.EOF after the last. Errors wrap
// ErrMalformed or ErrLimit, name line and column, and are final.
func (r *Reader) Next() (*Record, error) {
	for r.err == nil {
		if r.starved() {
			r.err = r.fill()
			continue
		}
		n, err := r.split.split(r.buf[r.r:r.w], r.eof, &r.rec)
		switch {
		case err != nil:
			r.err = err
		case n > 0:
			r.r, r.tried = r.r+n, 0
			if len(r.rec.Fields) > 0 {
				return &r.rec, nil
			}
		case r.eof:
			r.err = r.ended()
		case r.w-r.r > MaxRecord:
			r.err = tooLong(r.split)
		default:
			r.tried = max(1, r.w-r.r)
		}
	}
	return nil, r.err
}

// starved says that there is nothing to try, or that another try is not worth
// it yet: a record of MaxRecord that comes in small reads would otherwise be
// looked at thousands of times.
func (r *Reader) starved() bool { return !r.eof && (r.w == r.r || r.w-r.r < 2*r.tried) }

func (r *Reader) ended() error {
	if r.split.columns() == nil {
		return noHeader(r.split)
	}
	return io.EOF
}

func noHeader(s splitter) error {
	if c, ok := s.(*csvSplitter); ok {
		return c.at.fail(ErrMalformed, "", "no header line")
	}
	return io.EOF
}

// fill reads more, moving or growing what is kept.
func (r *Reader) fill() error {
	if r.r > 0 && r.w == len(r.buf) {
		copy(r.buf, r.buf[r.r:r.w])
		r.r, r.w = 0, r.w-r.r
	}
	if r.w == len(r.buf) {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if errors.Is(err, io.EOF) {
		r.eof, err = true, nil
	}
	return err
}

func tooLong(s splitter) error {
	var at place
	switch s := s.(type) {
	case *csvSplitter:
		at = s.at
	case *jsonSplitter:
		at = s.at
	}
	return at.fail(ErrLimit, "", "a record is longer than %d bytes", MaxRecord)
}

package dataset

import (
	"errors"
	"io"
	"math/rand/v2"
)

// Profiler makes the profile of a table that is written to it in pieces of any
// size; the profile does not depend on the pieces. Its memory does not grow
// with the table: about 6 KiB a column, one record, and the sample.
type Profiler struct {
	format  Format
	split   splitter
	rec     Record
	pending []byte // the beginning of a record
	tried   int    // as in Reader
	cols    []*column
	rows    int64
	seed    uint64
	random  *rand.Rand
	sample  [][]string
	err     error
}

// NewProfiler profiles the table called name, in format f. The seed decides
// which rows are the sample. The error wraps ErrMalformed for a format that
// is not CSV, TSV or JSONL.
func NewProfiler(name string, f Format, seed uint64) (*Profiler, error) {
	s, err := newSplitter(name, f)
	if err != nil {
		return nil, err
	}
	return newProfiler(f, s, seed), nil
}

func newProfiler(f Format, s splitter, seed uint64) *Profiler {
	return &Profiler{format: f, split: s, seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
}

// Write takes the next bytes in. Its first error is final, wraps ErrMalformed
// or ErrLimit and names line and column.
func (p *Profiler) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if len(p.pending) == 0 {
		n := p.consume(b, false)
		p.keep(b[n:])
	} else {
		p.pending = append(p.pending, b...)
		if len(p.pending) >= 2*p.tried {
			n := p.consume(p.pending, false)
			rest := p.pending[n:]
			p.pending = p.pending[:0]
			p.keep(rest)
		}
	}
	if p.err != nil {
		return 0, p.err
	}
	return len(b), nil
}

// keep remembers the beginning of a record until more of it comes.
func (p *Profiler) keep(rest []byte) {
	if len(rest) > MaxRecord && p.err == nil {
		p.err = tooLong(p.split)
	}
	p.pending = append(p.pending, rest...)
	p.tried = len(rest)
}

// consume takes whole records off b and returns the bytes they used.
func (p *Profiler) consume(b []byte, eof bool) (used int) {
	for used < len(b) && p.err == nil {
		n, err := p.split.split(b[used:], eof, &p.rec)
		if err != nil {
			p.err = err
			break
		}
		if n == 0 {
			break
		}
		used += n
		if len(p.rec.Fields) > 0 {
			p.row(&p.rec)
		}
	}
	return used
}

// row takes one record in. Its fields are copied where they are kept.
func (p *Profiler) row(r *Record) {
	for len(p.cols) < len(r.Fields) {
		p.cols = append(p.cols, newColumn())
	}
	if len(r.Text) == len(r.Fields) {
		for i, f := range r.Fields {
			p.cols[i].add(f, r.Text[i])
		}
	} else {
		for i, f := range r.Fields {
			p.cols[i].add(f, false)
		}
	}
	p.rows++
	p.choose(r.Fields)
}

// choose keeps each row with equal probability: reservoir sampling, Vitter's
// algorithm R.
func (p *Profiler) choose(fields [][]byte) {
	i := uint64(len(p.sample))
	if i < SampleRows {
		p.sample = append(p.sample, nil)
	} else if i = p.random.Uint64N(uint64(p.rows)); i >= SampleRows {
		return
	}
	fields = fields[:min(len(fields), maxSampleColumns)]
	row := make([]string, len(fields))
	for j, f := range fields {
		row[j] = clip(f)
	}
	p.sample[i] = row
}

// Finish ends the table and returns its profile, sensitive columns marked by
// Detect. Errors are those of Write.
func (p *Profiler) Finish() (*Profile, error) {
	if p.err == nil && len(p.pending) > 0 {
		p.consume(p.pending, true)
	}
	names := p.split.columns()
	if p.err == nil && names == nil {
		if err := noHeader(p.split); !errors.Is(err, io.EOF) {
			p.err = err
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	out := &Profile{Version: profileVersion, Format: p.format, Rows: p.rows, Sample: p.sample, Seed: p.seed}
	for i, name := range names {
		if i == len(p.cols) {
			p.cols = append(p.cols, newColumn())
		}
		out.Columns = append(out.Columns, p.cols[i].profile(name, p.rows))
	}
	Detect(out)
	return out, nil
}

// Tee returns a reader of r that shows p all it reads. A table that p does not
// understand does not stop the reading: Finish tells.
func (p *Profiler) Tee(r io.Reader) io.Reader { return tee{r, p} }

type tee struct {
	r io.Reader
	p *Profiler
}

func (t tee) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	if n > 0 {
		t.p.Write(b[:n])
	}
	return n, err
}

// ProfileOf profiles all of r.
func ProfileOf(name string, f Format, r io.Reader, seed uint64) (*Profile, error) {
	p, err := NewProfiler(name, f, seed)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{p}, struct{ io.Reader }{r}, make([]byte, 256<<10)); err != nil {
		return nil, err
	}
	return p.Finish()
}

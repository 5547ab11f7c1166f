package dataset

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// csvSplitter reads RFC 4180 text, the first record naming the columns. It is
// strict where programs differ: a quote inside an unquoted cell, text after a
// closing quote and a bare carriage return are errors. Empty lines are skipped.
type csvSplitter struct {
	at      place
	delim   byte // 0: the header line shows it
	comma   byte // the delimiter in use
	special [256]bool
	names   []string
	arena   []byte // cells that lost doubled quotes
}

func (s *csvSplitter) columns() []string { return s.names }

func (s *csvSplitter) split(b []byte, eof bool, rec *Record) (int, error) {
	if s.names == nil {
		return s.first(b, eof, rec)
	}
	n, err := s.record(b, eof, rec)
	if err == nil && n > 0 && len(rec.Fields) != len(s.names) && len(rec.Fields) > 0 {
		at := place{file: s.at.file, line: rec.Line}
		err = at.fail(ErrMalformed, label(s.names, min(len(rec.Fields), len(s.names))), "the record has %d cells, the header %d", len(rec.Fields), len(s.names))
	}
	return n, err
}

// first takes the header line, which also shows the delimiter. It gives no
// record.
func (s *csvSplitter) first(b []byte, eof bool, rec *Record) (int, error) {
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && eof:
		end = len(b)
	case end < 0 && len(b) > MaxRecord:
		return 0, s.at.fail(ErrLimit, "", "the header line is longer than %d bytes", MaxRecord)
	case end < 0:
		return 0, nil
	}
	bom := len(b) - len(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	delim := s.delim
	if delim == 0 {
		delim = sniff(b[bom:max(bom, end)])
	}
	s.special = [256]bool{'"': true, '\n': true, '\r': true}
	s.special[delim], s.comma = true, delim
	n, err := s.record(b[bom:], eof, rec)
	if err == nil && n > 0 && len(rec.Fields) > 0 {
		err = s.header(rec)
	}
	rec.Fields = rec.Fields[:0]
	if n == 0 {
		return 0, err
	}
	return bom + n, err
}

// sniff picks the delimiter that the header line uses most, outside quotes.
func sniff(line []byte) byte {
	var count [256]int
	quoted := false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			count[c]++
		}
	}
	best := byte(',')
	for _, c := range []byte{';', '\t', '|'} {
		if count[c] > count[best] {
			best = c
		}
	}
	return best
}

func (s *csvSplitter) header(rec *Record) error {
	at := place{file: s.at.file, line: rec.Line}
	seen := make(map[string]int, len(rec.Fields))
	names := make([]string, 0, len(rec.Fields))
	for i, c := range rec.Fields {
		name := strings.TrimSpace(string(c))
		if err := at.checkName(i, name, seen); err != nil {
			return err
		}
		seen[name] = i
		names = append(names, name)
	}
	s.names = names
	return nil
}

// record takes one record off b; rec has no fields for an empty line.
func (s *csvSplitter) record(b []byte, eof bool, rec *Record) (int, error) {
	rec.Fields, rec.Line, s.arena = rec.Fields[:0], s.at.line, s.arena[:0]
	var newlines int64
	for i := 0; ; {
		i = s.plainCells(b, i, rec)
		cell, next, lines, err := s.cell(b, i, eof, len(rec.Fields))
		if err != nil || next < 0 {
			return 0, err
		}
		newlines += lines
		if next-i > MaxCell {
			return 0, s.at.fail(ErrLimit, label(s.names, len(rec.Fields)), "a cell is longer than %d bytes", MaxCell)
		}
		if i = next; i < len(b) && b[i] == s.comma {
			i++
			if rec.Fields = append(rec.Fields, cell); len(rec.Fields) >= MaxColumns {
				return 0, s.at.fail(ErrLimit, strconv.Itoa(len(rec.Fields)+1), "at most %d columns are allowed", MaxColumns)
			}
			continue
		}
		n, ok, err := s.lineEnd(b, i, eof, len(rec.Fields))
		if err != nil || !ok {
			return 0, err
		}
		if n > MaxRecord {
			return 0, tooLong(s)
		}
		if len(rec.Fields) > 0 || i > 0 {
			rec.Fields = append(rec.Fields, cell)
		}
		if err := s.characters(b[:n], rec); err != nil {
			return 0, err
		}
		s.at.line += newlines
		if n > i {
			s.at.line++
		}
		return n, nil
	}
}

// plainCells takes the cells from b[i] on that are neither quoted nor last nor
// at a limit, which are nearly all. It returns where the next one begins. Eight
// bytes are looked at together: most of the time of a profile is spent here.
func (s *csvSplitter) plainCells(b []byte, i int, rec *Record) int {
	fields := rec.Fields
	defer func() { rec.Fields = fields }()
	j := i
	for ; j+8 <= len(b) && len(fields) < MaxColumns-9; j += 8 {
		for m := s.specials(binary.LittleEndian.Uint64(b[j:])); m != 0; m &= m - 1 {
			at := j + bits.TrailingZeros64(m)/8
			if b[at] != s.comma || at-i > MaxCell {
				return i
			}
			fields = append(fields, b[i:at:at])
			i = at + 1
		}
	}
	for ; j < len(b) && len(fields) < MaxColumns-1; j++ {
		if !s.special[b[j]] {
			continue
		}
		if b[j] != s.comma || j-i > MaxCell {
			break
		}
		fields = append(fields, b[i:j:j])
		i = j + 1
	}
	return i
}

// specials has the highest bit of each byte of w that ends a plain cell.
func (s *csvSplitter) specials(w uint64) uint64 {
	const each = 0x0101010101010101
	return zeros(w^uint64(s.comma)*each) | zeros(w^'"'*each) | zeros(w^'\n'*each) | zeros(w^'\r'*each)
}

// zeros has the highest bit of each byte of x that is zero (Hacker's Delight,
// section 6-1, the form without carries between bytes).
func zeros(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return ^((x&low + low) | x | low)
}

// lineEnd steps over the line end at b[i]; not ok asks for more.
func (s *csvSplitter) lineEnd(b []byte, i int, eof bool, column int) (n int, ok bool, err error) {
	switch {
	case i == len(b):
		return i, eof, nil
	case b[i] == '\n':
		return i + 1, true, nil
	case i+1 < len(b) && b[i+1] == '\n':
		return i + 2, true, nil
	case i+1 == len(b) && !eof:
		return 0, false, nil
	case i+1 == len(b):
		return i + 1, true, nil
	}
	return 0, false, s.at.fail(ErrMalformed, label(s.names, column), "a carriage return without a line feed")
}

// cell reads the cell at b[i]; next is the delimiter or line end behind it, or
// -1 for more.
func (s *csvSplitter) cell(b []byte, i int, eof bool, column int) (cell []byte, next int, newlines int64, err error) {
	if i < len(b) && b[i] == '"' {
		return s.quoted(b, i+1, eof, column)
	}
	for next = i; next < len(b) && !s.special[b[next]]; {
		next++
	}
	switch {
	case next-i > MaxCell:
		return nil, 0, 0, s.at.fail(ErrLimit, label(s.names, column), "a cell is longer than %d bytes", MaxCell)
	case next == len(b) && !eof:
		return nil, -1, 0, nil
	case next < len(b) && b[next] == '"':
		return nil, 0, 0, s.at.fail(ErrMalformed, label(s.names, column), "a quote inside an unquoted cell")
	}
	return b[i:next:next], next, 0, nil
}

// quoted reads a cell after its opening quote.
func (s *csvSplitter) quoted(b []byte, i int, eof bool, column int) (cell []byte, next int, newlines int64, err error) {
	begin, doubled := i, false
	for {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 || i+j-begin > MaxCell {
			return nil, -1, 0, s.unclosed(len(b)-begin, eof, column)
		}
		i += j + 1
		if i == len(b) && !eof {
			return nil, -1, 0, nil
		}
		if i == len(b) || b[i] != '"' {
			break
		}
		i++
		doubled = true
	}
	if i < len(b) && b[i] != s.comma && b[i] != '\n' && b[i] != '\r' {
		return nil, 0, 0, s.at.fail(ErrMalformed, label(s.names, column), "text after a closing quote")
	}
	cell = b[begin : i-1 : i-1]
	newlines = int64(bytes.Count(cell, []byte{'\n'}))
	if doubled {
		cell = s.halve(cell)
	}
	return cell, i, newlines, nil
}

func (s *csvSplitter) unclosed(length int, eof bool, column int) error {
	switch {
	case length > MaxCell:
		return s.at.fail(ErrLimit, label(s.names, column), "a quoted cell is longer than %d bytes; is a quote not closed?", MaxCell)
	case eof:
		return s.at.fail(ErrMalformed, label(s.names, column), "a quote is not closed")
	}
	return nil
}

// halve makes one quote of two. Cells cut earlier from an arena that grows
// stay valid: they keep the old one alive.
func (s *csvSplitter) halve(cell []byte) []byte {
	begin := len(s.arena)
	for {
		j := bytes.IndexByte(cell, '"')
		if j < 0 {
			s.arena = append(s.arena, cell...)
			return s.arena[begin:len(s.arena):len(s.arena)]
		}
		s.arena = append(s.arena, cell[:j+1]...)
		cell = cell[j+2:]
	}
}

// characters refuses what is not text, naming the first cell that holds it.
func (s *csvSplitter) characters(b []byte, rec *Record) error {
	if utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 {
		return nil
	}
	for i, f := range rec.Fields {
		if err := s.at.checkText(label(s.names, i), f); err != nil {
			return err
		}
	}
	return s.at.fail(ErrMalformed, "", "not UTF-8 text")
}

func (p place) checkText(column string, cell []byte) error {
	switch {
	case bytes.IndexByte(cell, 0) >= 0:
		return p.fail(ErrMalformed, column, "a NUL byte")
	case !utf8.Valid(cell):
		return p.fail(ErrMalformed, column, "not UTF-8 text; convert the file first")
	}
	return nil
}

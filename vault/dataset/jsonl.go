package dataset

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// jsonSplitter reads one JSON object a line. Columns are the keys in the order
// of their first appearance; a nested value is kept as the text it was.
type jsonSplitter struct {
	at    place
	names []string
	index map[string]int
	arena []byte
}

func (s *jsonSplitter) columns() []string { return s.names }

func (s *jsonSplitter) split(b []byte, eof bool, rec *Record) (int, error) {
	end := bytes.IndexByte(b, '\n')
	used := end + 1
	switch {
	case end > MaxRecord || end < 0 && len(b) > MaxRecord:
		return 0, s.at.fail(ErrLimit, "", "a record is longer than %d bytes", MaxRecord)
	case end < 0 && !eof:
		return 0, nil
	case end < 0:
		end, used = len(b), len(b)
	}
	rec.Line, s.arena = s.at.line, s.arena[:0]
	rec.Fields, rec.Text = rec.Fields[:0], rec.Text[:0]
	line := bytes.TrimSpace(b[:end])
	if len(line) > 0 {
		if err := s.object(line, rec); err != nil {
			return 0, err
		}
	}
	s.at.line++
	return used, nil
}

// object parses {"key": value, …}.
func (s *jsonSplitter) object(b []byte, rec *Record) error {
	if err := s.at.checkText("", b); err != nil {
		return err
	}
	for range s.names {
		rec.Fields, rec.Text = append(rec.Fields, nil), append(rec.Text, false)
	}
	i, ok := expect(b, 0, '{')
	if !ok {
		return s.at.fail(ErrMalformed, "", "want one JSON object on each line")
	}
	if i, ok = expect(b, i, '}'); ok {
		return s.nothingAfter(b[i:])
	}
	for guess := 0; ; guess++ {
		column, next, err := s.key(b, i, guess, rec)
		if err != nil {
			return err
		}
		if i, err = s.value(b, next, column, rec); err != nil {
			return err
		}
		if i, ok = expect(b, i, ','); ok {
			continue
		}
		if i, ok = expect(b, i, '}'); ok {
			return s.nothingAfter(b[i:])
		}
		return s.at.fail(ErrMalformed, label(s.names, column), "want , or } after its value")
	}
}

func (s *jsonSplitter) nothingAfter(b []byte) error {
	if len(b) > 0 {
		return s.at.fail(ErrMalformed, "", "text after the object")
	}
	return nil
}

// key reads "key": and finds or makes its column. Rows mostly repeat the keys
// of the row before, so the guess is tried first.
func (s *jsonSplitter) key(b []byte, i, guess int, rec *Record) (column, next int, err error) {
	i = space(b, i)
	raw, n, ok := s.text(b, i)
	if !ok {
		return 0, 0, s.at.fail(ErrMalformed, strconv.Itoa(guess+1), "want a key in quotes")
	}
	column, known := guess, guess < len(s.names) && s.names[guess] == string(raw)
	if !known {
		column, known = s.index[string(raw)]
	}
	if !known {
		column = len(s.names)
		if err := s.at.checkName(column, string(raw), s.index); err != nil {
			return 0, 0, err
		}
		s.index[string(raw)] = column
		s.names = append(s.names, string(raw))
		rec.Fields, rec.Text = append(rec.Fields, nil), append(rec.Text, false)
	}
	if rec.Fields[column] != nil {
		return 0, 0, s.at.fail(ErrMalformed, label(s.names, column), "the key comes twice")
	}
	if next, ok = expect(b, n, ':'); !ok {
		return 0, 0, s.at.fail(ErrMalformed, label(s.names, column), "want : after the key")
	}
	return column, space(b, next), nil
}

// value reads the value at b[i] into its column.
func (s *jsonSplitter) value(b []byte, i, column int, rec *Record) (int, error) {
	text, n, ok := s.text(b, i)
	if ok {
		rec.Fields[column], rec.Text[column] = text, true
	} else if n = i + rawLen(b[i:]); n > i && json.Valid(b[i:n]) {
		rec.Fields[column] = b[i:n:n]
		if string(b[i:n]) == "null" {
			rec.Fields[column] = b[i:i:i]
		}
	} else {
		return 0, s.at.fail(ErrMalformed, label(s.names, column), "not a JSON value")
	}
	if len(rec.Fields[column]) > MaxCell {
		return 0, s.at.fail(ErrLimit, label(s.names, column), "a cell is longer than %d bytes", MaxCell)
	}
	return n, s.at.checkText(label(s.names, column), rec.Fields[column])
}

// text reads the string at b[i]; next is behind its closing quote.
func (s *jsonSplitter) text(b []byte, i int) (text []byte, next int, ok bool) {
	if i >= len(b) || b[i] != '"' {
		return nil, i, false
	}
	plain := true
	for n := i + 1; n < len(b); n++ {
		switch c := b[n]; {
		case c == '"' && plain:
			return b[i+1 : n : n], n + 1, true
		case c == '"':
			text, ok = s.unescape(b[i : n+1])
			return text, n + 1, ok
		case c == '\\':
			plain = false
			n++
		case c < ' ':
			return nil, i, false
		}
	}
	return nil, i, false
}

func (s *jsonSplitter) unescape(quoted []byte) ([]byte, bool) {
	var v string
	if json.Unmarshal(quoted, &v) != nil {
		return nil, false
	}
	begin := len(s.arena)
	s.arena = append(s.arena, v...)
	return s.arena[begin:len(s.arena):len(s.arena)], true
}

// rawLen is the length of the value at the front of b that is not a string.
// Only brackets and strings are looked at; the caller checks the rest.
func rawLen(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case depth == 0 && strings.IndexByte(",}] \t", c) >= 0:
			return i
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// expect steps over white space and c.
func expect(b []byte, i int, c byte) (int, bool) {
	if i = space(b, i); i < len(b) && b[i] == c {
		return i + 1, true
	}
	return i, false
}

package rules

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"cipherdeck/vault/dataset"
)

// writer writes records in the format they came in: CSV with commas, TSV with
// tabs, both RFC 4180 with quotes where needed, or JSONL.
type writer struct {
	out      *bufio.Writer
	json     bool
	delim    byte
	raw      bool // formulas stay
	cells    int  // in this record
	started  bool
	formulas int64
	safe     []byte
}

func newWriter(out *bufio.Writer, f dataset.Format, keepFormulas bool) *writer {
	w := &writer{out: out, json: f == dataset.JSONL, delim: ',', raw: keepFormulas}
	if f == dataset.TSV {
		w.delim = '\t'
	}
	return w
}

// header writes the names once. They are text that a stranger chose, too.
func (w *writer) header(plans []plan) error {
	if w.json || w.started {
		return nil
	}
	w.started = true
	w.begin()
	for _, c := range plans {
		if c.action != Drop {
			w.cell("", []byte(c.name), true)
		}
	}
	return w.end()
}

func (w *writer) begin() {
	w.cells = 0
	if w.json {
		w.out.WriteByte('{')
	}
}

func (w *writer) end() error {
	if w.json {
		w.out.WriteByte('}')
	}
	return w.out.WriteByte('\n')
}

// cell writes one cell. In JSONL a nil cell is absent and an empty one that is
// not text is null; errors of the buffered writer come out of end.
func (w *writer) cell(name string, cell []byte, text bool) {
	if w.json && cell == nil {
		return
	}
	if w.cells++; w.json {
		w.jsonCell(name, cell, text)
		return
	}
	if w.cells > 1 {
		w.out.WriteByte(w.delim)
	}
	if !w.raw && isFormula(cell) {
		w.formulas++
		w.safe = append(append(w.safe[:0], '\''), cell...)
		cell = w.safe
	}
	if len(cell) > 0 && !w.needsQuotes(cell) {
		w.out.Write(cell)
		return
	}
	if len(cell) == 0 && w.cells > 1 {
		return
	}
	// A first empty cell in quotes: a line that is empty would not be a record.
	w.out.WriteByte('"')
	for i := bytes.IndexByte(cell, '"'); i >= 0; i = bytes.IndexByte(cell, '"') {
		w.out.Write(cell[:i+1])
		w.out.WriteByte('"')
		cell = cell[i+1:]
	}
	w.out.Write(cell)
	w.out.WriteByte('"')
}

func (w *writer) needsQuotes(cell []byte) bool {
	for _, c := range cell {
		if c == w.delim || c == '"' || c == '\n' || c == '\r' {
			return true
		}
	}
	return cell[0] == ' ' || cell[len(cell)-1] == ' '
}

func (w *writer) jsonCell(name string, cell []byte, text bool) {
	if w.cells > 1 {
		w.out.WriteByte(',')
	}
	quoted, _ := json.Marshal(name)
	w.out.Write(quoted)
	w.out.WriteByte(':')
	switch {
	case text:
		quoted, _ = json.Marshal(string(cell))
		w.out.Write(quoted)
	case len(cell) == 0:
		w.out.WriteString("null")
	default:
		w.out.Write(cell)
	}
}

// isFormula reports what a spreadsheet would run (OWASP, CSV injection): a cell
// that begins with = + - @, their full-width forms, a tab or carriage return,
// and is not simply a number.
func isFormula(cell []byte) bool {
	if len(cell) == 0 || cell[0] > '@' && cell[0] < utf8.RuneSelf || cell[0] >= '0' && cell[0] <= '9' {
		return false
	}
	text := bytes.TrimLeft(cell, " \n")
	if r, _ := utf8.DecodeRune(text); !operator(r) {
		return false
	}
	_, err := strconv.ParseFloat(string(text), 64)
	return err != nil
}

func operator(r rune) bool {
	switch r {
	case '=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠':
		return true
	}
	return false
}

package dataset

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Format is the form of a table.
type Format string

// The formats. Parquet is read by the package of that name.
const (
	CSV     Format = "csv"
	TSV     Format = "tsv"
	JSONL   Format = "jsonl"
	Parquet Format = "parquet"
)

// The errors of Reader and Profiler.
var (
	ErrMalformed = errors.New("malformed table")
	ErrLimit     = errors.New("table exceeds a limit")
)

// What a table may ask of memory, whatever it contains.
const (
	MaxColumns = 4096
	MaxName    = 256     // bytes of a column's name
	MaxCell    = 1 << 20 // bytes of one cell
	MaxRecord  = 8 << 20 // bytes of one record
)

// FormatOf guesses the format from a file name.
func FormatOf(name string) (Format, bool) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV, true
	case ".tsv", ".tab":
		return TSV, true
	case ".jsonl", ".ndjson":
		return JSONL, true
	case ".parquet", ".pq":
		return Parquet, true
	}
	return "", false
}

// Record is one row. Fields and their bytes are valid until the next record.
type Record struct {
	Fields [][]byte // by column; nil where JSONL has no such key
	Text   []bool   // JSONL only: the value was a string
	Line   int64    // where the record begins, from 1
}

// splitter takes one record off the front of b. It returns the bytes used, 0
// when b ends inside a record; eof says that nothing follows b.
type splitter interface {
	split(b []byte, eof bool, rec *Record) (int, error)
	columns() []string
}

func newSplitter(name string, f Format) (splitter, error) {
	switch f {
	case CSV:
		return &csvSplitter{at: place{file: name, line: 1}}, nil
	case TSV:
		return &csvSplitter{at: place{file: name, line: 1}, delim: '\t'}, nil
	case JSONL:
		return &jsonSplitter{at: place{file: name, line: 1}, index: map[string]int{}}, nil
	}
	return nil, fmt.Errorf("%w: %s: format %q is not csv, tsv or jsonl", ErrMalformed, name, f)
}

// place names a position for an error.
type place struct {
	file string
	line int64
}

func (p place) fail(kind error, column string, format string, a ...any) error {
	if column != "" {
		column = ", column " + column
	}
	return fmt.Errorf("%w: %s line %d%s: %s", kind, p.file, p.line, column, fmt.Sprintf(format, a...))
}

// label names column i: by its name where the header is known.
func label(names []string, i int) string {
	if i < len(names) {
		return strconv.Quote(names[i])
	}
	return strconv.Itoa(i + 1)
}

// checkName refuses names that rules and people could not refer to.
func (p place) checkName(i int, name string, seen map[string]int) error {
	first, twice := seen[name]
	switch {
	case name == "":
		return p.fail(ErrMalformed, strconv.Itoa(i+1), "has no name")
	case len(name) > MaxName:
		return p.fail(ErrLimit, strconv.Itoa(i+1), "its name has %d bytes, at most %d are allowed", len(name), MaxName)
	case twice:
		return p.fail(ErrMalformed, strconv.Itoa(i+1), "is called %q like column %d", name, first+1)
	case i >= MaxColumns:
		return p.fail(ErrLimit, strconv.Itoa(i+1), "at most %d columns are allowed", MaxColumns)
	}
	return nil
}

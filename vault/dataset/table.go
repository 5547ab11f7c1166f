package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The errors of this package.
var (
	ErrTable  = errors.New("not a table of numbers")
	ErrColumn = errors.New("no such column")
	ErrRow    = errors.New("no such row")
)

// maxCells bounds a table in memory: 128 Mi cells of 8 bytes are 1 GiB.
const maxCells = 128 << 20

// Table is a table of numbers. Rows[i][j] is row i, column j.
type Table struct {
	Columns []string
	Rows    [][]float64
}

// ReadCSV reads RFC 4180 text with one header line. A cell that is not a finite
// number is refused, since a model that scored a silently skipped row would be
// worse than none. Errors wrap ErrTable and name the file, the line and the
// column.
func ReadCSV(name string, r io.Reader) (*Table, error) {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: no header line: %v", ErrTable, name, err)
	}
	t := &Table{Columns: slices.Clone(head)}
	t.Columns[0] = strings.TrimPrefix(t.Columns[0], "\ufeff")
	if err := t.checkHeader(name); err != nil {
		return nil, err
	}
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %v", ErrTable, name, err)
		}
		line, _ := c.FieldPos(0)
		row, err := t.parse(rec)
		if err != nil {
			return nil, fmt.Errorf("%w: %s line %d, %w", ErrTable, name, line, err)
		}
		if t.Rows = append(t.Rows, row); len(t.Rows)*len(head) > maxCells {
			return nil, fmt.Errorf("%w: %s has more than %d cells", ErrTable, name, maxCells)
		}
	}
}

func (t *Table) checkHeader(name string) error {
	seen := map[string]bool{}
	for i, c := range t.Columns {
		if c == "" || seen[c] {
			return fmt.Errorf("%w: %s: column %d has no name of its own in the header line", ErrTable, name, i+1)
		}
		seen[c] = true
	}
	return nil
}

func (t *Table) parse(rec []string) ([]float64, error) {
	row := make([]float64, len(rec))
	for j, cell := range rec {
		v, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("column %q: %s is not a finite number; encode or drop text columns first", t.Columns[j], show(cell))
		}
		row[j] = v
	}
	return row, nil
}

// show quotes the beginning of a cell: enough to find it, too little to leak a
// whole free text into a log.
func show(cell string) string {
	if cell == "" {
		return "an empty cell"
	}
	if r := []rune(cell); len(r) > 3 {
		return fmt.Sprintf("%q…", string(r[:3]))
	}
	return strconv.Quote(cell)
}

// Split takes column label out of t: the other columns, and label's values.
// The error wraps ErrColumn.
func (t *Table) Split(label string) (*Table, []float64, error) {
	j := slices.Index(t.Columns, label)
	if j < 0 {
		return nil, nil, fmt.Errorf("%w: %q; there are %s", ErrColumn, label, strings.Join(t.Columns, ", "))
	}
	rest := &Table{Columns: slices.Delete(slices.Clone(t.Columns), j, j+1)}
	values := make([]float64, len(t.Rows))
	for i, row := range t.Rows {
		values[i] = row[j]
		rest.Rows = append(rest.Rows, slices.Delete(slices.Clone(row), j, j+1))
	}
	return rest, values, nil
}

// Pick returns the rows with the given indexes, in that order. The error wraps
// ErrRow.
func (t *Table) Pick(rows []int) (*Table, error) {
	out := &Table{Columns: t.Columns}
	for _, i := range rows {
		if i < 0 || i >= len(t.Rows) {
			return nil, fmt.Errorf("%w: index %d of %d rows", ErrRow, i, len(t.Rows))
		}
		out.Rows = append(out.Rows, t.Rows[i])
	}
	return out, nil
}

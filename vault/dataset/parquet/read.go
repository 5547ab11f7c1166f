package parquet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"cipherdeck/vault/dataset"
)

// maxCells is dataset's bound of a table in memory, 1 GiB.
const maxCells = 128 << 20

// Table reads a file whose cells are all finite numbers. Errors wrap
// dataset.ErrTable and name row and column, or are those of Open.
func (f *File) Table(ctx context.Context) (*dataset.Table, error) {
	t := &dataset.Table{Columns: slices.Clone(f.columns)}
	err := f.Each(ctx, func(r *dataset.Record) error {
		row := make([]float64, len(r.Fields))
		for i, cell := range r.Fields {
			v, err := strconv.ParseFloat(string(cell), 64)
			if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
				return fmt.Errorf("%w: %s row %d, column %q: not a finite number; encode or drop text columns first", dataset.ErrTable, f.name, r.Line, f.columns[i])
			}
			row[i] = v
		}
		if t.Rows = append(t.Rows, row); len(t.Rows)*len(row) > maxCells {
			return fmt.Errorf("%w: %s has more than %d cells", dataset.ErrTable, f.name, maxCells)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// WriteCSV writes the file as RFC 4180 text, which packages rules and risk
// read. Formulas stay as they are: this is not an export.
func (f *File) WriteCSV(ctx context.Context, dst io.Writer) error {
	w := bufio.NewWriterSize(dst, 256<<10)
	for i, c := range f.columns {
		writeCell(w, i, c)
	}
	w.WriteByte('\n')
	err := f.Each(ctx, func(r *dataset.Record) error {
		for i, cell := range r.Fields {
			writeCell(w, i, string(cell))
		}
		return w.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// writeCell quotes a first empty cell: an empty line would not be a record.
func writeCell(w *bufio.Writer, i int, cell string) {
	if i > 0 {
		w.WriteByte(',')
	}
	if strings.ContainsAny(cell, ",\"\r\n") || cell == "" && i == 0 {
		cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
	}
	w.WriteString(cell)
}

package parquet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"cipherdeck/vault/dataset"
)

// WriteOptions say how Write writes.
type WriteOptions struct {
	// Profile gives the types of the columns. It must be of the table that is
	// written, so after column rules were applied. Without it all is text.
	Profile *dataset.Profile
	// Keys encrypt the file, footer included. Every column named in Keys must
	// exist. Without keys the file is in clear.
	Keys *Keys
}

// rowsPerGroup keeps a row group of a hundred columns below some 100 MB.
const rowsPerGroup = 100_000

// Write turns a CSV, TSV or JSONL table into Parquet: INT64, DOUBLE, BOOLEAN,
// DATE and text, all optional, compressed by Snappy, which every reader knows.
// Columns of a JSONL are those of the profile. Errors wrap ErrType,
// dataset.ErrColumn or those of dataset.Reader; what was written by then must
// be discarded.
func Write(ctx context.Context, name string, form dataset.Format, src io.Reader, dst io.Writer, o WriteOptions) (err error) {
	defer caught(name, &err)
	r, err := dataset.NewReader(name, form, src)
	if err != nil {
		return err
	}
	rec, err := r.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	t := &target{name: name}
	if err := t.plan(r.Columns(), form, o); err != nil {
		return err
	}
	if o.Keys == nil {
		w := pq.NewWriter(dst, t.options()...)
		if _, err := t.rowsFrom(ctx, r, rec, err, w, math.MaxInt); err != nil {
			return err
		}
		return w.Close()
	}
	return t.encrypted(ctx, r, rec, err, dst, o.Keys)
}

// encrypted makes one file in clear for each row group, in memory only.
func (t *target) encrypted(ctx context.Context, r *dataset.Reader, rec *dataset.Record, err error, dst io.Writer, keys *Keys) error {
	e, failed := newEncrypter(dst, keys)
	for first := true; failed == nil && (first || err == nil); first = false {
		var group bytes.Buffer
		w := pq.NewWriter(&group, t.options()...)
		if rec, failed = t.rowsFrom(ctx, r, rec, err, w, rowsPerGroup); failed != nil {
			return failed
		}
		if rec == nil {
			err = io.EOF
		}
		if failed = w.Close(); failed == nil {
			failed = e.add(group.Bytes())
		}
	}
	if failed != nil {
		return failed
	}
	return e.finish()
}

// rowsFrom writes rec, read with err, and what follows it, n rows at most. It
// returns the next record, nil at the end.
func (t *target) rowsFrom(ctx context.Context, r *dataset.Reader, rec *dataset.Record, err error, w *pq.Writer, n int) (*dataset.Record, error) {
	for ; err == nil && n > 0; n-- {
		if err := t.row(r.Columns(), rec); err != nil {
			return nil, err
		}
		if _, err := w.WriteRows([]pq.Row{t.buffer}); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		if t.rows++; t.rows%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		rec, err = r.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return rec, err
}

// target is the file that is written.
type target struct {
	name    string
	columns []string
	types   []kind
	buffer  pq.Row
	rows    int64
}

// kind is one type of column.
type kind struct {
	node  pq.Node
	parse func(cell []byte) (pq.Value, bool)
}

func (t *target) plan(columns []string, form dataset.Format, o WriteOptions) error {
	t.columns = columns
	known := map[string]kind{}
	if o.Profile != nil {
		for j, c := range o.Profile.Columns {
			known[c.Name] = kindOf(c, plainDays(o.Profile, j))
		}
	}
	if form == dataset.JSONL && o.Profile != nil {
		t.columns = nil
		for _, c := range o.Profile.Columns {
			t.columns = append(t.columns, c.Name)
		}
	}
	for _, c := range t.columns {
		k, ok := known[c]
		if !ok {
			k = text()
		}
		t.types = append(t.types, k)
	}
	if len(t.columns) == 0 {
		return fmt.Errorf("%w: %s has none", dataset.ErrColumn, t.name)
	}
	if o.Keys == nil {
		return nil
	}
	for c := range o.Keys.Columns {
		if !slices.Contains(t.columns, c) {
			return fmt.Errorf("%w: %s has no %q, which is to be encrypted with a key of its own", dataset.ErrColumn, t.name, c)
		}
	}
	return nil
}

func (t *target) options() []pq.WriterOption {
	return []pq.WriterOption{
		pq.NewSchema("table", t.schema()),
		pq.Compression(&pq.Snappy),
		pq.MaxRowsPerRowGroup(rowsPerGroup),
		pq.CreatedBy("cipherdeck", "1", ""),
	}
}

// ordered is a group whose fields keep the order of the table; that of
// parquet-go sorts them by name.
type ordered struct {
	pq.Group
	fields []pq.Field
}

func (o ordered) Fields() []pq.Field { return o.fields }

func (t *target) schema() pq.Node {
	g := pq.Group{}
	for i, c := range t.columns {
		g[c] = pq.Optional(t.types[i].node)
	}
	byName := map[string]pq.Field{}
	for _, f := range g.Fields() {
		byName[f.Name()] = f
	}
	o := ordered{Group: g}
	for _, c := range t.columns {
		o.fields = append(o.fields, byName[c])
	}
	return o
}

// row fills the buffer from a record whose fields are called columns.
func (t *target) row(columns []string, rec *dataset.Record) error {
	t.buffer = t.buffer[:0]
	for i, c := range t.columns {
		at := i
		if at >= len(columns) || columns[at] != c {
			at = slices.Index(columns, c)
		}
		var cell []byte
		if at >= 0 && at < len(rec.Fields) {
			cell = rec.Fields[at]
		}
		if len(cell) == 0 {
			t.buffer = append(t.buffer, pq.NullValue().Level(0, 0, i))
			continue
		}
		v, ok := t.types[i].parse(cell)
		if !ok {
			return fmt.Errorf("%w: %s line %d, column %q", ErrType, t.name, rec.Line, c)
		}
		level := 1
		if v.IsNull() {
			level = 0
		}
		t.buffer = append(t.buffer, v.Level(0, level, i))
	}
	if len(columns) > len(t.columns) {
		return fmt.Errorf("%w: %s line %d: %q is not in the profile", dataset.ErrColumn, t.name, rec.Line, columns[len(columns)-1])
	}
	return nil
}

// kindOf chooses the type for a column, text where a value could be lost: an
// integer beyond 2^53 was profiled as a float, 03/04/2024 may be two days.
func kindOf(c dataset.ColumnProfile, days bool) kind {
	lo, errLo := strconv.ParseFloat(c.Min, 64)
	hi, errHi := strconv.ParseFloat(c.Max, 64)
	exact := errLo == nil && errHi == nil && math.Abs(lo) < 1<<53 && math.Abs(hi) < 1<<53
	switch {
	case c.Type == dataset.Integer && exact:
		return kind{pq.Int(64), integer}
	case c.Type == dataset.Number:
		return kind{pq.Leaf(pq.DoubleType), double}
	case c.Type == dataset.Boolean:
		return kind{pq.Leaf(pq.BooleanType), boolean}
	case c.Type == dataset.Date && c.Longest == 10 && c.Shortest == 10 && days:
		return kind{pq.Date(), date}
	}
	return text()
}

func text() kind {
	return kind{pq.String(), func(cell []byte) (pq.Value, bool) { return pq.ByteArrayValue(bytes.Clone(cell)), true }}
}

// plainDays reports whether the sample of column j can be read in one way.
func plainDays(p *dataset.Profile, j int) bool {
	for _, row := range p.Sample {
		if j < len(row) && !dataset.Null([]byte(row[j])) {
			if _, ok := date([]byte(row[j])); !ok {
				return false
			}
		}
	}
	return true
}

func integer(cell []byte) (pq.Value, bool) {
	if dataset.Null(cell) {
		return pq.NullValue(), true
	}
	v, err := strconv.ParseInt(string(bytes.TrimSpace(cell)), 10, 64)
	return pq.Int64Value(v), err == nil
}

func double(cell []byte) (pq.Value, bool) {
	if dataset.Null(cell) {
		return pq.NullValue(), true
	}
	v, err := strconv.ParseFloat(string(bytes.TrimSpace(cell)), 64)
	return pq.DoubleValue(v), err == nil
}

func boolean(cell []byte) (pq.Value, bool) {
	switch string(bytes.ToLower(bytes.TrimSpace(cell))) {
	case "true", "yes", "t", "y":
		return pq.BooleanValue(true), true
	case "false", "no", "f", "n":
		return pq.BooleanValue(false), true
	}
	return pq.NullValue(), dataset.Null(cell)
}

// date reads what is no matter of custom: 2024-05-31, 2024/05/31, 31.05.2024.
func date(cell []byte) (pq.Value, bool) {
	if dataset.Null(cell) {
		return pq.NullValue(), true
	}
	d, ok := dataset.ParseDay(string(cell), "")
	if !ok || len(cell) > 10 || cell[1] == '/' || cell[2] == '/' {
		return pq.Value{}, false
	}
	t := time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC)
	return pq.Int32Value(int32(t.Unix() / 86400)), true
}

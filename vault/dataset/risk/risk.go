// Package risk counts how well the rows of a table hide among each other.
//
// The analyst names the quasi-identifiers: columns that somebody outside may
// know about a person, such as birth year, sex and postcode. Rows that agree
// in all of them form a class. A table is k-anonymous (Sweeney 2002) if no class
// has fewer than k rows, and l-diverse (Machanavajjhala et al. 2007, distinct
// l-diversity) in a sensitive column if every class has at least l values there.
//
// These are counts, not guarantees: they hold for the columns that were named
// and no others, and k-anonymity does not stop inference. If all rows of a class
// have the same diagnosis, k of any size gives it away.
package risk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cipherdeck/vault/dataset"
)

// The errors of this package.
var (
	ErrOptions = errors.New("risk report")
	ErrReach   = errors.New("k cannot be reached")
)

// Options name the columns.
type Options struct {
	Quasi     []string // at least one
	Sensitive []string // may be empty
	K         int      // wanted size of a class, 2 or more
}

// Report is what the classes look like.
type Report struct {
	Quasi     []string
	Rows      int64
	Classes   int64
	Wanted    int64 // k that was asked for
	K         int64 // rows of the smallest class; 0 for an empty table
	Unique    int64 // rows alone in their class
	Below     int64 // rows in classes smaller than Wanted
	Diversity []Diversity
}

// Diversity is about one sensitive column.
type Diversity struct {
	Column string
	L      int64 // fewest different values in a class
	Told   int64 // rows in classes with a single value: the class tells it
}

// ShareBelow is the share of rows in classes smaller than wanted, 0 to 1.
func (r Report) ShareBelow() float64 { return ratio(r.Below, r.Rows) }

// MaxRisk is the chance to pick the right row for somebody who is known to be in
// the table, in the smallest class: 1/k (the prosecutor's risk).
func (r Report) MaxRisk() float64 { return ratio(min(r.K, 1), r.K) }

// AvgRisk is the same chance over all rows: classes/rows.
func (r Report) AvgRisk() float64 { return ratio(r.Classes, r.Rows) }

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Caveats are the sentences that belong under every report.
func (r Report) Caveats() []string {
	out := []string{
		"k-anonymity does not stop inference: what all rows of a class share is known of each of them.",
		"The figures hold for " + strings.Join(r.Quasi, ", ") + " only; who knows another column knows more.",
		"Data with tokens, masks or bins is pseudonymised, not anonymous; in the EU the GDPR still applies to it.",
	}
	for _, d := range r.Diversity {
		if d.Told > 0 {
			out = append(out, fmt.Sprintf("%d rows are in classes with one value of %s: whoever finds the class knows it.", d.Told, d.Column))
		}
	}
	return out
}

// maxCells bounds a table in memory at 4 bytes a cell, maxText its different
// values.
const (
	maxCells = 64 << 20
	maxText  = 256 << 20
)

// table holds the named columns, each value as its place in a dictionary.
type table struct {
	names []string
	quasi int // names[:quasi]
	codes [][]uint32
	dict  [][]string
	rows  int64
	wants int64
}

// Measure reports on the table called name. Errors wrap ErrOptions,
// dataset.ErrColumn, or are those of dataset.Reader.
func Measure(ctx context.Context, name string, f dataset.Format, src io.Reader, o Options) (Report, error) {
	t, err := load(ctx, name, f, src, o)
	if err != nil {
		return Report{}, err
	}
	return t.report(t.classes(t.codes[:t.quasi]), nil), nil
}

func (o Options) check() error {
	all := slices.Concat(o.Quasi, o.Sensitive)
	slices.Sort(all)
	switch {
	case len(o.Quasi) == 0:
		return fmt.Errorf("%w: name at least one quasi-identifier", ErrOptions)
	case o.K < 2:
		return fmt.Errorf("%w: k is %d, want 2 or more", ErrOptions, o.K)
	case len(slices.Compact(all)) != len(o.Quasi)+len(o.Sensitive):
		return fmt.Errorf("%w: a column is named twice", ErrOptions)
	}
	return nil
}

func load(ctx context.Context, name string, f dataset.Format, src io.Reader, o Options) (*table, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	r, err := dataset.NewReader(name, f, src)
	if err != nil {
		return nil, err
	}
	t := &table{names: slices.Concat(o.Quasi, o.Sensitive), quasi: len(o.Quasi), wants: int64(o.K)}
	l := loader{t: t, at: make([]int, len(t.names)), index: make([]map[string]uint32, len(t.names))}
	t.codes, t.dict = make([][]uint32, len(t.names)), make([][]string, len(t.names))
	for i := range l.index {
		l.index[i] = map[string]uint32{}
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return t, l.find(r.Columns(), name)
		}
		if err != nil {
			return nil, err
		}
		if t.rows%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l.locate(r.Columns())
		if err := l.row(name, rec); err != nil {
			return nil, err
		}
	}
}

type loader struct {
	t     *table
	at    []int // column of each name, -1 if not seen yet
	known int   // columns that at takes into account
	index []map[string]uint32
	text  int
}

func (l *loader) locate(columns []string) {
	if len(columns) == l.known {
		return
	}
	l.known = len(columns)
	for i, n := range l.t.names {
		l.at[i] = slices.Index(columns, n)
	}
}

func (l *loader) find(columns []string, name string) error {
	l.known = -1
	l.locate(columns)
	if i := slices.Index(l.at, -1); i >= 0 {
		return fmt.Errorf("%w: %s has no %q; there are %s", dataset.ErrColumn, name, l.t.names[i], strings.Join(columns, ", "))
	}
	return nil
}

// row takes one record in. A null is a value like any other: two people of
// whom nothing is known look alike.
func (l *loader) row(name string, rec *dataset.Record) error {
	t := l.t
	for i, at := range l.at {
		var cell []byte
		if at >= 0 && at < len(rec.Fields) {
			cell = rec.Fields[at]
		}
		code, ok := l.index[i][string(cell)]
		if !ok {
			code = uint32(len(t.dict[i]))
			l.index[i][string(cell)] = code
			t.dict[i] = append(t.dict[i], string(cell))
			l.text += len(cell)
		}
		t.codes[i] = append(t.codes[i], code)
	}
	t.rows++
	if t.rows*int64(len(t.names)) > maxCells || l.text > maxText {
		return fmt.Errorf("%w: %s line %d: the risk report holds %d cells and %d MiB of different values at most", dataset.ErrLimit, name, rec.Line, maxCells, maxText>>20)
	}
	return nil
}

// classing says for each row which class it is in.
type classing struct {
	of   []uint32 // by row
	size []int64  // by class
}

// classes refines one class of all rows by one column after the other.
func (t *table) classes(columns [][]uint32) classing {
	c := classing{of: make([]uint32, t.rows)}
	for _, codes := range columns {
		next := map[uint64]uint32{}
		for row, code := range codes {
			key := uint64(c.of[row])<<32 | uint64(code)
			class, ok := next[key]
			if !ok {
				class = uint32(len(next))
				next[key] = class
			}
			c.of[row] = class
		}
	}
	for _, class := range c.of {
		for int(class) >= len(c.size) {
			c.size = append(c.size, 0)
		}
		c.size[class]++
	}
	return c
}

// report counts the classes of those rows that skip does not leave out; skip
// leaves out whole classes.
func (t *table) report(c classing, skip func(class uint32) bool) Report {
	r := Report{Quasi: t.names[:t.quasi], Wanted: t.wants}
	for class, n := range c.size {
		if skip != nil && skip(uint32(class)) {
			continue
		}
		r.Rows += n
		r.Classes++
		if r.K == 0 || n < r.K {
			r.K = n
		}
		if n == 1 {
			r.Unique++
		}
		if n < t.wants {
			r.Below += n
		}
	}
	for i := t.quasi; i < len(t.names); i++ {
		r.Diversity = append(r.Diversity, t.diversity(i, c, skip))
	}
	return r
}

func (t *table) diversity(column int, c classing, skip func(uint32) bool) Diversity {
	d := Diversity{Column: t.names[column]}
	seen := map[uint64]bool{}
	values := make([]int64, len(c.size))
	for row, code := range t.codes[column] {
		if key := uint64(c.of[row])<<32 | uint64(code); !seen[key] {
			seen[key] = true
			values[c.of[row]]++
		}
	}
	for class, l := range values {
		if skip != nil && skip(uint32(class)) {
			continue
		}
		if d.L == 0 || l < d.L {
			d.L = l
		}
		if l == 1 {
			d.Told += c.size[class]
		}
	}
	return d
}

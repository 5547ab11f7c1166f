package dataset

import (
	"math/rand/v2"
	"slices"
)

// ColumnProfiler makes the profile of a table that comes column by column, as
// Parquet stores it: then one column is in memory at a time, and not all
// columns of a row group. Which rows are the sample is drawn beforehand.
type ColumnProfiler struct {
	at     place
	out    *Profile
	seen   map[string]int
	sample []int64 // rows of the sample, ascending from 0
}

// NewColumnProfiler profiles the table called name, which has so many rows. The
// seed decides which of them are the sample.
func NewColumnProfiler(name string, f Format, rows int64, seed uint64) *ColumnProfiler {
	p := &ColumnProfiler{at: place{file: name, line: 1}, seen: map[string]int{}, sample: draw(rows, seed)}
	p.out = &Profile{Version: profileVersion, Format: f, Rows: rows, Seed: seed, Sample: make([][]string, len(p.sample))}
	return p
}

// draw picks SampleRows of rows, each set of them with equal probability
// (Floyd's algorithm), or all.
func draw(rows int64, seed uint64) []int64 {
	n := min(rows, SampleRows)
	random := rand.New(rand.NewPCG(seed, 0))
	taken := make(map[int64]bool, n)
	var out []int64
	for j := rows - n; j < rows; j++ {
		i := random.Int64N(j + 1)
		if taken[i] {
			i = j
		}
		taken[i] = true
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// Cells takes in the cells of one column, in order. Not all need to be seen
// for it to be given up by Unread.
type Cells struct {
	p    *ColumnProfiler
	name string
	col  *column
	row  int64
	cut  []string // of the sample
}

// Column begins the next column. Errors wrap ErrMalformed or ErrLimit for a
// name that nobody could refer to.
func (p *ColumnProfiler) Column(name string) (*Cells, error) {
	i := len(p.out.Columns)
	if err := p.at.checkName(i, name, p.seen); err != nil {
		return nil, err
	}
	p.seen[name] = i
	return &Cells{p: p, name: name, col: newColumn()}, nil
}

// Add takes the next cell in; text says that it is known to be a string.
func (c *Cells) Add(cell []byte, text bool) {
	if n := len(c.cut); n < len(c.p.sample) && c.p.sample[n] == c.row {
		c.cut = append(c.cut, clip(cell))
	}
	c.col.add(cell, text)
	c.row++
}

// Rows is how many cells were added.
func (c *Cells) Rows() int64 { return c.row }

// Done ends the column. The error wraps ErrMalformed when it has not as many
// cells as the table has rows.
func (c *Cells) Done() error {
	if c.row != c.p.out.Rows {
		return c.p.at.fail(ErrMalformed, label([]string{c.name}, 0), "it has %d cells, the table %d rows", c.row, c.p.out.Rows)
	}
	c.p.put(c.col.profile(c.name, c.row), c.cut)
	return nil
}

// Unread ends the column without what was added: t is Nested or Unread, why is
// for people.
func (c *Cells) Unread(t Type, why string) {
	c.p.put(ColumnProfile{Name: c.name, Type: t, Note: clip([]byte(why))}, nil)
}

func (p *ColumnProfiler) put(c ColumnProfile, cells []string) {
	p.out.Columns = append(p.out.Columns, c)
	if len(p.out.Columns) > maxSampleColumns {
		return
	}
	for i := range p.out.Sample {
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		p.out.Sample[i] = append(p.out.Sample[i], cell)
	}
}

// Finish returns the profile, sensitive columns marked by Detect.
func (p *ColumnProfiler) Finish() *Profile {
	Detect(p.out)
	return p.out
}

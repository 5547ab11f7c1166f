package rules

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"cipherdeck/vault/dataset"
)

// Options say how Apply and Reveal write.
type Options struct {
	// KeepFormulas leaves cells such as =1+1 as they are. A spreadsheet runs
	// them, so by default they get an apostrophe in front.
	KeepFormulas bool
	// Skip leaves out rows, counted from 0; nil leaves out none.
	Skip func(row int64) bool
}

// Stats is what was done.
type Stats struct {
	Rows       int64            // written
	Skipped    int64            // by Options.Skip
	Suppressed map[string]int64 // by column: cells that their rule could not read and emptied
	Formulas   int64            // cells that were made harmless
}

// Apply copies the table called name from src to dst, changed by f. key is the
// project's column key, needed for token and encrypt only. Nulls stay empty,
// save in encrypted columns, where they look like every other cell.
//
// Errors wrap ErrRules (a column without rule, a rule without column), ErrKey,
// or are those of dataset.Reader; what was written by then must be discarded.
func Apply(ctx context.Context, name string, form dataset.Format, src io.Reader, dst io.Writer, f *File, key *[32]byte, o Options) (Stats, error) {
	if err := f.Check(); err != nil {
		return Stats{}, err
	}
	return run(ctx, name, form, src, dst, f, o, func(r Rule) (change, error) { return changeOf(r, key) })
}

// Reveal copies a table that Apply wrote, and opens its encrypted columns. It
// knows them from f; all other columns stay as they are. Errors wrap ErrCell
// too, and name line and column.
func Reveal(ctx context.Context, name string, form dataset.Format, src io.Reader, dst io.Writer, f *File, key *[32]byte, o Options) (Stats, error) {
	if err := f.Check(); err != nil {
		return Stats{}, err
	}
	open := &File{Version: 1, Other: Keep}
	open.Columns = slices.DeleteFunc(slices.Clone(f.Columns), func(r Rule) bool { return r.Action != Encrypt })
	return run(ctx, name, form, src, dst, open, o, func(r Rule) (change, error) {
		if r.Action != Encrypt {
			return nil, nil
		}
		op, err := newOpener(key, r.Column)
		return func(dst, cell []byte) ([]byte, bool, error) {
			out, err := op.append(dst, cell)
			return out, true, err
		}, err
	})
}

// run is one pass over a table.
type pass struct {
	name    string
	file    *File
	make    func(Rule) (change, error)
	plans   []plan // by column
	writer  *writer
	stats   Stats
	scratch []byte
	o       Options
}

// plan is what happens to one column.
type plan struct {
	name   string
	action Action
	change change
}

func run(ctx context.Context, name string, form dataset.Format, src io.Reader, dst io.Writer, f *File, o Options, mk func(Rule) (change, error)) (Stats, error) {
	r, err := dataset.NewReader(name, form, src)
	if err != nil {
		return Stats{}, err
	}
	out := bufio.NewWriterSize(dst, 256<<10)
	p := &pass{name: name, file: f, make: mk, o: o, writer: newWriter(out, form, o.KeepFormulas), stats: Stats{Suppressed: map[string]int64{}}}
	if err := p.rows(ctx, r); err != nil {
		return p.stats, err
	}
	p.stats.Formulas = p.writer.formulas
	return p.stats, out.Flush()
}

func (p *pass) rows(ctx context.Context, r *dataset.Reader) error {
	for n := int64(0); ; n++ {
		rec, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if e := p.learn(r.Columns()); e != nil {
			return e
		}
		if err != nil {
			return p.unused()
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if p.o.Skip != nil && p.o.Skip(n) {
			p.stats.Skipped++
			continue
		}
		if err := p.row(rec); err != nil {
			return err
		}
	}
}

// learn plans for columns that were not known before, and writes the header of
// a CSV.
func (p *pass) learn(columns []string) error {
	if len(columns) == len(p.plans) {
		return nil
	}
	rules := make(map[string]Rule, len(p.file.Columns))
	for _, r := range p.file.Columns {
		rules[r.Column] = r
	}
	for _, c := range columns[len(p.plans):] {
		r, ok := rules[c]
		if !ok && p.file.Other == Refuse {
			return fmt.Errorf("%w: %s: column %q has no rule, and other columns are refused", ErrRules, p.name, c)
		}
		if !ok {
			r = Rule{Column: c, Action: p.file.Other}
		}
		ch, err := p.make(r)
		if err != nil {
			return fmt.Errorf("column %q: %w", c, err)
		}
		p.plans = append(p.plans, plan{c, r.Action, ch})
	}
	return p.writer.header(p.plans)
}

// unused refuses a rule that met no column: a misspelt name would leave the
// column it was meant for unprotected.
func (p *pass) unused() error {
	seen := map[string]bool{}
	for _, c := range p.plans {
		seen[c.name] = true
	}
	for _, r := range p.file.Columns {
		if !seen[r.Column] {
			return fmt.Errorf("%w: %s has no column %q, which has a rule", ErrRules, p.name, r.Column)
		}
	}
	return nil
}

func (p *pass) row(rec *dataset.Record) error {
	p.writer.begin()
	for i, cell := range rec.Fields {
		c := &p.plans[i]
		text := len(rec.Text) > i && rec.Text[i]
		switch {
		case c.action == Drop:
		case c.change == nil:
			p.writer.cell(c.name, cell, text)
		default:
			if err := p.changed(c, cell, rec.Line); err != nil {
				return err
			}
		}
	}
	p.stats.Rows++
	return p.writer.end()
}

func (p *pass) changed(c *plan, cell []byte, line int64) error {
	if c.action != Encrypt {
		trimmed := bytes.TrimSpace(cell)
		if dataset.Null(trimmed) {
			p.writer.cell(c.name, cell[:0], false)
			return nil
		}
		cell = trimmed
	}
	out, ok, err := c.change(p.scratch[:0], cell)
	if err != nil {
		return fmt.Errorf("%s line %d, column %q: %w", p.name, line, c.name, err)
	}
	if p.scratch = out; !ok {
		p.stats.Suppressed[c.name]++
		out = out[:0]
	}
	p.writer.cell(c.name, out, ok && c.action != Noise)
	return nil
}

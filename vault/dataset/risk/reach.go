package risk

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"cipherdeck/vault/dataset"
	"cipherdeck/vault/dataset/rules"
)

// Plan is a way to k: what happens to each quasi-identifier, and which rows
// have to go.
type Plan struct {
	Rules         []rules.Rule // one for each quasi-identifier
	Suppressed    int64        // rows that Skip leaves out
	Before, After Report       // After is of the rows that stay
	skip          []uint64     // a bit a row
}

// Skip says whether a row, counted from 0, has to go; it is made for
// rules.Options.
func (p *Plan) Skip(row int64) bool {
	return row>>6 < int64(len(p.skip)) && p.skip[row>>6]>>(row&63)&1 == 1
}

// File adds p to rules for the other columns; a quasi-identifier's rule there
// is replaced, since its classes were counted without it.
func (p *Plan) File(base *rules.File) *rules.File {
	f := &rules.File{Version: base.Version, Other: base.Other}
	for _, r := range base.Columns {
		if !slices.ContainsFunc(p.Rules, func(q rules.Rule) bool { return q.Column == r.Column }) {
			f.Columns = append(f.Columns, r)
		}
	}
	f.Columns = append(f.Columns, p.Rules...)
	return f
}

// Reach looks for a plan that brings the table to o.K and leaves out at most
// the share suppress of its rows, 0 to 1. It coarsens whole columns, always the
// one with most values next (Sweeney's Datafly), then takes back what turns
// out not to be needed: one fair answer, not the best one. Which rows are left
// out says something about them, too.
//
// Errors are those of Measure, and ErrReach if even one value in all columns is
// not enough.
func Reach(ctx context.Context, name string, f dataset.Format, src io.Reader, o Options, suppress float64) (*Plan, error) {
	if !(suppress >= 0 && suppress <= 1) {
		return nil, fmt.Errorf("%w: %v of the rows to leave out, want 0 to 1", ErrOptions, suppress)
	}
	t, err := load(ctx, name, f, src, o)
	if err != nil {
		return nil, err
	}
	s := &search{t: t, budget: int64(math.Floor(suppress * float64(t.rows)))}
	base := t.classes(t.codes[:t.quasi])
	before := t.report(base, nil)
	s.merge(base)
	for i := range t.quasi {
		l, err := t.ladder(i)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", t.names[i], err)
		}
		s.ladders = append(s.ladders, l)
	}
	s.level = make([]int, t.quasi)
	if err := s.climb(ctx); err != nil {
		return nil, err
	}
	return s.plan(before), nil
}

// step is one rung: a rule, and the code that each value of the column gets.
type step struct {
	rule   rules.Rule
	codes  []uint32
	values int // different ones
}

type search struct {
	t       *table
	budget  int64
	ladders [][]step
	level   []int
	first   []int   // a row of each class of the untouched table
	weight  []int64 // and its size
}

// merge keeps one row of each class: all others follow it on every level.
func (s *search) merge(c classing) {
	s.weight = c.size
	s.first = make([]int, len(c.size))
	for row := len(c.of) - 1; row >= 0; row-- {
		s.first[c.of[row]] = row
	}
}

// below counts the rows in classes that are too small on the present levels.
func (s *search) below() int64 {
	of := make([]uint32, len(s.first))
	for q := range s.ladders {
		codes := s.ladders[q][s.level[q]].codes
		next := map[uint64]uint32{}
		for i, row := range s.first {
			key := uint64(of[i])<<32 | uint64(codes[s.t.codes[q][row]])
			class, ok := next[key]
			if !ok {
				class = uint32(len(next))
				next[key] = class
			}
			of[i] = class
		}
	}
	size := make([]int64, len(s.first)+1)
	for i, class := range of {
		size[class] += s.weight[i]
	}
	var n int64
	for _, rows := range size {
		if rows < s.t.wants {
			n += rows
		}
	}
	return n
}

func (s *search) climb(ctx context.Context) error {
	for s.below() > s.budget {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		next := -1
		for q, l := range s.ladders {
			if s.level[q]+1 < len(l) && (next < 0 || l[s.level[q]].values > s.ladders[next][s.level[next]].values) {
				next = q
			}
		}
		if next < 0 {
			return fmt.Errorf("%w: the table has %d rows, and every class needs %d", ErrReach, s.t.rows, s.t.wants)
		}
		s.level[next]++
	}
	for q := range s.level {
		for s.level[q] > 0 {
			if s.level[q]--; s.below() > s.budget {
				s.level[q]++
				break
			}
		}
	}
	return nil
}

func (s *search) plan(before Report) *Plan {
	p := &Plan{Before: before, skip: make([]uint64, (s.t.rows+63)/64)}
	columns := make([][]uint32, s.t.quasi)
	for q := range columns {
		at := s.ladders[q][s.level[q]]
		p.Rules = append(p.Rules, at.rule)
		columns[q] = make([]uint32, s.t.rows)
		for row, code := range s.t.codes[q] {
			columns[q][row] = at.codes[code]
		}
	}
	c := s.t.classes(columns)
	small := func(class uint32) bool { return c.size[class] < s.t.wants }
	for row, class := range c.of {
		if small(class) {
			p.skip[row>>6] |= 1 << (row & 63)
			p.Suppressed++
		}
	}
	p.After = s.t.report(c, small)
	return p
}

// ladder lists what can be done to a column, from nothing to dropping it. A
// rung that does not make fewer values is left out.
func (t *table) ladder(column int) ([]step, error) {
	name := t.names[column]
	candidates := []rules.Rule{{Action: rules.Keep}}
	candidates = append(candidates, coarser(t.dict[column])...)
	candidates = append(candidates, rules.Rule{Action: rules.Drop})
	var out []step
	for _, r := range candidates {
		r.Column = name
		s, err := t.step(column, r)
		if err != nil {
			return nil, err
		}
		if len(out) == 0 || s.values < out[len(out)-1].values {
			out = append(out, s)
		}
	}
	return out, nil
}

func (t *table) step(column int, r rules.Rule) (step, error) {
	change, err := rules.Generaliser(r)
	if err != nil {
		return step{}, err
	}
	s := step{rule: r, codes: make([]uint32, len(t.dict[column]))}
	index := map[string]uint32{}
	for i, v := range t.dict[column] {
		out, err := change(v)
		if err != nil {
			return step{}, err
		}
		code, ok := index[out]
		if !ok {
			code = uint32(len(index))
			index[out] = code
		}
		s.codes[i] = code
	}
	s.values = len(index)
	return s, nil
}

// coarser guesses what kind of values a dictionary holds.
func coarser(values []string) []rules.Rule {
	var all shape
	for _, v := range values {
		if v != "" {
			all.add(v)
		}
	}
	switch {
	case all.n == 0:
		return nil
	case all.dates == all.n:
		return dates(all.slashes > 0)
	case all.digits == all.n && all.shortest == all.longest && all.longest >= 4, all.numbers < all.n && all.longest <= 12:
		return prefixes(all.longest)
	case all.numbers == all.n:
		return bins(all.lo, all.hi)
	}
	return nil
}

// shape is what the values of a column have in common.
type shape struct {
	n, dates, slashes, numbers, digits int
	shortest, longest                  int
	lo, hi                             float64
}

func (s *shape) add(v string) {
	if s.n++; s.n == 1 {
		s.shortest, s.lo, s.hi = math.MaxInt, math.Inf(1), math.Inf(-1)
	}
	runes := utf8.RuneCountInString(v)
	s.shortest, s.longest = min(s.shortest, runes), max(s.longest, runes)
	if _, ok := dataset.ParseDay(v, ""); ok {
		s.dates++
		if v[1] == '/' || v[2] == '/' {
			s.slashes++
		}
	}
	if x, err := strconv.ParseFloat(v, 64); err == nil && !math.IsInf(x, 0) && !math.IsNaN(x) {
		s.numbers++
		s.lo, s.hi = min(s.lo, x), max(s.hi, x)
	}
	if _, err := strconv.ParseUint(v, 10, 64); err == nil {
		s.digits++
	}
}

// dates whose day and month can be mistaken start at the year.
func dates(slashes bool) []rules.Rule {
	var out []rules.Rule
	for _, to := range []string{"month", "quarter", "year", "decade"} {
		if !slashes || to == "year" || to == "decade" {
			out = append(out, rules.Rule{Action: rules.Generalise, To: to})
		}
	}
	return out
}

func prefixes(longest int) []rules.Rule {
	var out []rules.Rule
	for n := longest - 1; n > 0; n-- {
		out = append(out, rules.Rule{Action: rules.Generalise, Prefix: n})
	}
	return out
}

// bins are 1, 2 or 5 times a power of ten wide, from a hundredth of the range
// to the range.
func bins(lo, hi float64) []rules.Rule {
	var out []rules.Rule
	if !(hi > lo) {
		return nil
	}
	for e := math.Floor(math.Log10((hi - lo) / 100)); len(out) < 12; e++ {
		for _, m := range []float64{1, 2, 5} {
			w := m * math.Pow(10, e)
			if w < (hi-lo)/100 {
				continue
			}
			out = append(out, rules.Rule{Action: rules.Generalise, Width: w})
			if w >= hi-lo {
				return out
			}
		}
	}
	return out
}

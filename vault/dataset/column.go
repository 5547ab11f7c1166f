package dataset

import (
	"math"
	"strconv"
)

// column gathers what is known about one column.
type column struct {
	nulls    int64
	counts   [classes]int64
	lo, hi   float64 // of numbers
	from, to float64 // of dates, as in dated
	short    int     // bytes of the shortest and longest cell
	long     int
	distinct sketch
	recent   [64]seen
}

// seen remembers a value: most columns repeat few, and a repeated one changes
// nothing but a count.
type seen struct {
	hash  uint64
	class class
}

func newColumn() *column {
	return &column{
		lo: math.Inf(1), hi: math.Inf(-1),
		from: math.Inf(1), to: math.Inf(-1),
		short: math.MaxInt,
	}
}

// add takes one cell in; text says that it is known to be a string.
func (c *column) add(cell []byte, text bool) {
	if Null(cell) {
		c.nulls++
		return
	}
	h := hash(cell)
	if text {
		h ^= 1
	}
	at := &c.recent[h%uint64(len(c.recent))]
	if at.hash == h {
		c.counts[at.class]++
		return
	}
	c.distinct.add(h)
	c.short, c.long = min(c.short, len(cell)), max(c.long, len(cell))
	k, v := classify(cell)
	switch {
	case k == isDate:
		c.from, c.to = min(c.from, v), max(c.to, v)
	case k != isInteger && k != isNumber:
	case text:
		k = isText
	default:
		c.lo, c.hi = min(c.lo, v), max(c.hi, v)
	}
	c.counts[k]++
	*at = seen{h, k}
}

// profile is the summary after rows rows.
func (c *column) profile(name string, rows int64) ColumnProfile {
	var cells int64
	for _, n := range c.counts {
		cells += n
	}
	p := ColumnProfile{Name: name, Nulls: rows - cells, Type: c.kind(cells)}
	if cells == 0 {
		return p
	}
	p.Distinct = min(c.distinct.estimate(), cells)
	p.Shortest, p.Longest = int64(c.short), int64(c.long)
	switch p.Type {
	case Integer, Number:
		p.Min, p.Max = strconv.FormatFloat(c.lo, 'g', -1, 64), strconv.FormatFloat(c.hi, 'g', -1, 64)
	case Date:
		p.Min, p.Max = dayOf(c.from).String(), dayOf(c.to).String()
	}
	return p
}

func dayOf(v float64) Day { n := int(v); return Day{n / 10000, n / 100 % 100, n % 100} }

func (c *column) kind(cells int64) Type {
	switch cells {
	case 0:
		return Empty
	case c.counts[isInteger]:
		return Integer
	case c.counts[isInteger] + c.counts[isNumber]:
		return Number
	case c.counts[isBoolean]:
		return Boolean
	case c.counts[isDate]:
		return Date
	}
	return Text
}

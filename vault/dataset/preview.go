package dataset

import (
	"slices"
	"strings"
	"unicode"
)

// Hidden stands for a cell of a sensitive column that is not revealed. It is
// always as long, and it is used for nulls too.
const Hidden = "••••••"

// Preview is a profile ready to be shown: only characters that cannot steer a
// terminal, and nothing of a column that is hidden but its type.
type Preview struct {
	Format  Format
	Rows    int64 // of the table
	Columns []PreviewColumn
	Sample  [][]string // every row as long as Columns
	Omitted int64
}

// PreviewColumn is the head of one column.
type PreviewColumn struct {
	Name     string
	Type     Type
	Kind     Kind
	Hidden   bool
	Nulls    int64
	Distinct int64
	Min, Max string // empty where there is no range or it is hidden
	Note     string // why there is nothing
}

// Preview shows up to rows rows of the sample. Columns marked sensitive are
// hidden unless reveal names them; "*" names all.
func (p *Profile) Preview(rows int, reveal ...string) Preview {
	v := Preview{Format: p.Format, Rows: p.Rows, Omitted: p.Omitted}
	for _, c := range p.Columns {
		h := PreviewColumn{
			Name: printable(c.Name), Type: c.Type, Kind: c.Kind, Nulls: c.Nulls, Distinct: c.Distinct, Note: printable(c.Note),
			Hidden: c.Sensitive && !slices.Contains(reveal, c.Name) && !slices.Contains(reveal, "*"),
		}
		if !h.Hidden {
			h.Min, h.Max = printable(c.Min), printable(c.Max)
		}
		v.Columns = append(v.Columns, h)
	}
	for _, row := range p.Sample[:min(max(rows, 0), len(p.Sample))] {
		v.Sample = append(v.Sample, v.row(row))
	}
	return v
}

func (v *Preview) row(cells []string) []string {
	out := make([]string, len(v.Columns))
	for j, c := range v.Columns {
		switch {
		case c.Hidden:
			out[j] = Hidden
		case j < len(cells):
			out[j] = printable(cells[j])
		}
	}
	return out
}

// printable replaces what would move a cursor or turn the writing direction.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar {
			return '·'
		}
		return r
	}, s)
}

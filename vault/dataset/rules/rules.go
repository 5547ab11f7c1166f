// Package rules changes the columns of a table before it leaves the analyst's
// hands, as a rules file says: keep, drop, mask, token, encrypt, generalise,
// noise. It works while the table streams past, in constant memory.
//
// What comes out is pseudonymised at best, not anonymous: whoever knows enough
// about a person may still find the row. Package risk counts how many rows
// that concerns. A token hides a value from those without the column key, and
// from nobody else if there are few possible values. Noise blurs a number by
// a stated amount; it is not differential privacy, since nothing accounts for
// what many answers reveal together.
package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"cipherdeck/vault/dataset"
)

// The errors of this package.
var (
	ErrRules = errors.New("column rules")
	ErrKey   = errors.New("token and encrypt need the project's column key")
	ErrCell  = errors.New("cell does not open: another column key or column, or it was changed")
)

// Action is what is done to a column.
type Action string

// The actions.
const (
	Keep       Action = "keep"
	Drop       Action = "drop"
	Mask       Action = "mask"       // hide all but the last characters
	Token      Action = "token"      // keyed, the same for the same value in the project, one way
	Encrypt    Action = "encrypt"    // cell by cell, reversible with the column key
	Generalise Action = "generalise" // date to month …, number to bin, code to prefix
	Noise      Action = "noise"
	Refuse     Action = "refuse" // only for other columns
)

// Rule is what is done to one column. The fields after Action belong to the
// action that is named there.
type Rule struct {
	Column string  `json:"column"`
	Action Action  `json:"rule"`
	Last   int     `json:"last,omitempty"`   // mask: characters shown, 0 to 8
	Join   string  `json:"join,omitempty"`   // token: columns with the same word can be joined; the column's name if empty
	To     string  `json:"to,omitempty"`     // generalise a date: month, quarter, year, decade
	Order  string  `json:"order,omitempty"`  // dmy or mdy: how 03/04/2024 is read
	Width  float64 `json:"width,omitempty"`  // generalise a number: of a bin
	Prefix int     `json:"prefix,omitempty"` // generalise a code: characters kept
	Shape  string  `json:"shape,omitempty"`  // noise: laplace or uniform
	Scale  float64 `json:"scale,omitempty"`  // noise: b of Laplace, or half the width of uniform
}

// File is a rules file. A column without a rule is treated as Other says; the
// default, refuse, makes a new column in the data an error instead of a leak.
type File struct {
	Version int    `json:"v"`
	Other   Action `json:"other,omitempty"` // refuse, keep or drop
	Columns []Rule `json:"columns"`
}

const maxFile = 4 << 20

// Parse reads the rules file called name. Errors wrap ErrRules and name the
// file and the field.
func Parse(name string, b []byte) (*File, error) {
	fail := func(field string, format string, a ...any) (*File, error) {
		return nil, fmt.Errorf("%w: %s: %s: %s", ErrRules, name, field, fmt.Sprintf(format, a...))
	}
	if len(b) > maxFile {
		return fail("file", "%d bytes, at most %d are allowed", len(b), maxFile)
	}
	if field, ok := twice(b); ok {
		return fail(field, "comes twice")
	}
	f := new(File)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		if t := (*json.UnmarshalTypeError)(nil); errors.As(err, &t) {
			return fail(t.Field, "is a JSON %s, want %s", t.Value, t.Type)
		}
		return fail("file", "%v", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fail("file", "text after the rules")
	}
	if field, err := f.check(); err != nil {
		return fail(field, "%v", err)
	}
	return f, nil
}

// Marshal writes f as Parse reads it.
func (f *File) Marshal() ([]byte, error) {
	b, err := json.MarshalIndent(f, "", "  ")
	return append(b, '\n'), err
}

// Check is what Parse checks of a file that was made in memory.
func (f *File) Check() error {
	if field, err := f.check(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRules, field, err)
	}
	return nil
}

func (f *File) check() (field string, err error) {
	if f.Version != 1 {
		return "v", fmt.Errorf("is %d, want 1", f.Version)
	}
	if f.Other == "" {
		f.Other = Refuse
	}
	if !slices.Contains([]Action{Refuse, Keep, Drop}, f.Other) {
		return "other", fmt.Errorf("is %q, want refuse, keep or drop", f.Other)
	}
	if len(f.Columns) > dataset.MaxColumns {
		return "columns", fmt.Errorf("%d rules, at most %d are allowed", len(f.Columns), dataset.MaxColumns)
	}
	seen := map[string]bool{}
	for i := range f.Columns {
		r := &f.Columns[i]
		at := fmt.Sprintf("columns[%d]", i)
		if r.Column == "" || seen[r.Column] {
			return at + ".column", fmt.Errorf("%q is empty or has a rule already", r.Column)
		}
		seen[r.Column] = true
		if part, err := r.check(); err != nil {
			return at + "." + part, err
		}
	}
	return "", nil
}

// check refuses a field that its action would ignore: who wrote it expects
// something else.
func (r *Rule) check() (field string, err error) {
	uses, known := map[Action]string{
		Keep: "", Drop: "", Mask: "last", Token: "join", Encrypt: "",
		Generalise: "to order width prefix", Noise: "shape scale",
	}[r.Action]
	if !known {
		return "rule", fmt.Errorf("is %q, want keep, drop, mask, token, encrypt, generalise or noise", r.Action)
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"last", r.Last != 0}, {"join", r.Join != ""}, {"to", r.To != ""}, {"order", r.Order != ""},
		{"width", r.Width != 0}, {"prefix", r.Prefix != 0}, {"shape", r.Shape != ""}, {"scale", r.Scale != 0}} {
		if f.set && !slices.Contains(strings.Fields(uses), f.name) {
			return f.name, fmt.Errorf("is not used by %s", r.Action)
		}
	}
	switch r.Action {
	case Mask:
		if r.Last < 0 || r.Last > 8 {
			return "last", fmt.Errorf("is %d, want 0 to 8 characters", r.Last)
		}
	case Noise:
		return r.checkNoise()
	case Generalise:
		return r.checkGeneralise()
	}
	return "", nil
}

func (r *Rule) checkNoise() (string, error) {
	if r.Shape != "laplace" && r.Shape != "uniform" {
		return "shape", fmt.Errorf("is %q, want laplace or uniform", r.Shape)
	}
	if !(r.Scale > 0) || math.IsInf(r.Scale, 0) {
		return "scale", fmt.Errorf("is %v, want more than 0, in the unit of the column", r.Scale)
	}
	return "", nil
}

func (r *Rule) checkGeneralise() (string, error) {
	n := 0
	for _, set := range []bool{r.To != "", r.Width != 0, r.Prefix != 0} {
		if set {
			n++
		}
	}
	switch {
	case n != 1:
		return "to", errors.New("want one of to, width and prefix")
	case r.To != "" && !slices.Contains([]string{"month", "quarter", "year", "decade"}, r.To):
		return "to", fmt.Errorf("is %q, want month, quarter, year or decade", r.To)
	case r.Order != "" && (r.To == "" || r.Order != "dmy" && r.Order != "mdy"):
		return "order", fmt.Errorf("is %q, want dmy or mdy, of a date", r.Order)
	case r.To == "" && r.Prefix == 0 && (!(r.Width > 0) || math.IsInf(r.Width, 0)):
		return "width", fmt.Errorf("is %v, want more than 0", r.Width)
	case r.Prefix < 0 || r.Prefix > 64:
		return "prefix", fmt.Errorf("is %d, want 1 to 64 characters", r.Prefix)
	}
	return "", nil
}

// twice finds a key that an object has more than once; encoding/json would
// take the last and say nothing. Bytes that are no JSON are left to it.
func twice(b []byte) (string, bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	var open []map[string]bool // nil for an array
	key := true
	for {
		t, err := d.Token()
		if err != nil || len(open) > 64 {
			return "", false
		}
		switch t := t.(type) {
		case json.Delim:
			switch t {
			case '{':
				open, key = append(open, map[string]bool{}), true
				continue
			case '[':
				open, key = append(open, nil), false
				continue
			}
			open = open[:len(open)-1]
		case string:
			if in := len(open) > 0 && open[len(open)-1] != nil; in && key {
				lower := strings.ToLower(t) // encoding/json ignores case
				if open[len(open)-1][lower] {
					return t, true
				}
				open[len(open)-1][lower] = true
				key = false
				continue
			}
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}

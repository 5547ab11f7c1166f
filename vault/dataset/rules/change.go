package rules

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"strconv"
	"unicode/utf8"

	"cipherdeck/vault/dataset"
)

// change appends what becomes of a cell to dst. Not ok: the rule could not read
// the cell, and nothing of it may pass.
type change func(dst, cell []byte) (out []byte, ok bool, err error)

// maskText is as long for every cell.
const maskText = "****"

// mask shows the last characters if at least as many stay hidden.
func mask(last int) change {
	return func(dst, cell []byte) ([]byte, bool, error) {
		dst = append(dst, maskText...)
		if last == 0 || utf8.RuneCount(cell) < 2*last {
			return dst, true, nil
		}
		i := len(cell)
		for range last {
			_, n := utf8.DecodeLastRune(cell[:i])
			i -= n
		}
		return append(dst, cell[i:]...), true, nil
	}
}

// prefix needs something to cut off: a cell that is not longer would pass whole.
func prefix(n int) change {
	return func(dst, cell []byte) ([]byte, bool, error) {
		i := 0
		for range n {
			_, size := utf8.DecodeRune(cell[i:])
			i += size
		}
		if i >= len(cell) {
			return dst, false, nil
		}
		return append(append(dst, cell[:i]...), '*'), true, nil
	}
}

// bin writes [lo,hi) with lo a multiple of width. The tolerance puts 0.3 into
// [0.3,0.4) although 0.3/0.1 is below 3 in binary.
func bin(width float64) change {
	return func(dst, cell []byte) ([]byte, bool, error) {
		v, ok := finite(cell)
		k := math.Floor(v/width + 1e-9)
		if !ok || math.Abs(k) > 1e12 {
			return dst, false, nil
		}
		dst = strconv.AppendFloat(append(dst, '['), k*width, 'g', 12, 64)
		dst = strconv.AppendFloat(append(dst, ','), (k+1)*width, 'g', 12, 64)
		return append(dst, ')'), true, nil
	}
}

func finite(cell []byte) (float64, bool) {
	v, err := strconv.ParseFloat(string(cell), 64)
	return v, err == nil && !math.IsInf(v, 0) && !math.IsNaN(v)
}

// period writes a date as 2024-05, 2024-Q2, 2024 or 2020s.
func period(to, order string) change {
	return func(dst, cell []byte) ([]byte, bool, error) {
		d, ok := dataset.ParseDay(string(cell), order)
		if !ok {
			return dst, false, nil
		}
		if to != "year" && to != "decade" && order == "" && ambiguous(cell, d) {
			return nil, false, fmt.Errorf("%w: can be read as day/month or month/day; give the rule an order, dmy or mdy", ErrRules)
		}
		switch to {
		case "month":
			dst = fmt.Appendf(dst, "%04d-%02d", d.Year, d.Month)
		case "quarter":
			dst = fmt.Appendf(dst, "%04d-Q%d", d.Year, (d.Month+2)/3)
		case "decade":
			dst = fmt.Appendf(dst, "%04ds", d.Year/10*10)
		default:
			dst = fmt.Appendf(dst, "%04d", d.Year)
		}
		return dst, true, nil
	}
}

// ambiguous reports a date with a slash at its second or third place whose
// other reading gives another day.
func ambiguous(cell []byte, d dataset.Day) bool {
	i := bytes.IndexByte(cell, '/')
	return (i == 1 || i == 2) && d.Day <= 12 && d.Day != d.Month
}

// noise adds a random number and keeps the decimals of the cell.
func noise(shape string, scale float64) change {
	var seed [32]byte
	rand.Read(seed[:])
	r := mathrand.New(mathrand.NewChaCha8(seed))
	draw := func() float64 { return scale * (2*r.Float64() - 1) }
	if shape == "laplace" {
		draw = func() float64 {
			e := scale * r.ExpFloat64()
			if r.Uint64()&1 == 0 {
				return -e
			}
			return e
		}
	}
	return func(dst, cell []byte) ([]byte, bool, error) {
		v, ok := finite(cell)
		if !ok {
			return dst, false, nil
		}
		decimals := 0
		if i := bytes.IndexByte(cell, '.'); i >= 0 {
			decimals = min(len(cell)-i-1, 15)
		}
		return strconv.AppendFloat(dst, v+draw(), 'f', decimals, 64), true, nil
	}
}

// changeOf makes the change of one rule; nil keeps the cell as it is.
func changeOf(r Rule, key *[32]byte) (change, error) {
	switch r.Action {
	case Mask:
		return mask(r.Last), nil
	case Token:
		join := r.Join
		if join == "" {
			join = r.Column
		}
		t, err := newTokeniser(key, join)
		return func(dst, cell []byte) ([]byte, bool, error) { return t.append(dst, cell), true, nil }, err
	case Encrypt:
		s, err := newSealer(key, r.Column)
		return func(dst, cell []byte) ([]byte, bool, error) { return s.append(dst, cell), true, nil }, err
	case Noise:
		return noise(r.Shape, r.Scale), nil
	case Generalise:
		return generalise(r), nil
	}
	return nil, nil
}

func generalise(r Rule) change {
	switch {
	case r.To != "":
		return period(r.To, r.Order)
	case r.Prefix > 0:
		return prefix(r.Prefix)
	}
	return bin(r.Width)
}

// Generaliser is what a generalise, keep or drop rule makes of one cell, for
// those who have to foresee it. Errors wrap ErrRules.
func Generaliser(r Rule) (func(cell string) (string, error), error) {
	if field, err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRules, field, err)
	}
	switch r.Action {
	case Keep:
		return func(cell string) (string, error) { return cell, nil }, nil
	case Drop:
		return func(string) (string, error) { return "", nil }, nil
	case Generalise:
		c := generalise(r)
		return func(cell string) (string, error) {
			out, ok, err := c(nil, bytes.TrimSpace([]byte(cell)))
			if !ok {
				out = nil
			}
			return string(out), err
		}, nil
	}
	return nil, fmt.Errorf("%w: %s does not generalise", ErrRules, r.Action)
}

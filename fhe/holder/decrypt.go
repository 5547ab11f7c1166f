package holder

import (
	"fmt"
	"math"

	"cipherdeck/fhe"
)

// Decrypt opens a result, checks its canaries and returns the logits of the
// data rows, in the order in which Encrypt got them. Errors wrap
// fhe.ErrMalformed when bytes do not decode and fhe.ErrCanary, without any
// detail, when a single known row came back wrong.
func (h *Holder) Decrypt(result []byte, set *CanarySet) ([]float64, error) {
	rows, _, err := h.decrypt(result, set)
	return rows, err
}

// decrypt returns the largest error of a canary too.
func (h *Holder) decrypt(result []byte, set *CanarySet) ([]float64, float64, error) {
	n := h.format.Core.BatchRows()
	if err := set.check(n); err != nil {
		return nil, 0, err
	}
	d := h.desks.Get().(*desk)
	defer h.release(d)
	c0, c1 := d.c0[0], d.c1[0]
	if err := h.format.DecodeResult(result, c0, c1); err != nil {
		return nil, 0, err
	}
	sub := h.format.Ring.SubRings[0]
	sub.MulCoeffsMontgomeryThenAdd(c1, h.secret[0], c0)
	sub.INTT(c0, c0)
	values := make([]float64, n)
	for i, x := range c0 {
		v := int64(x)
		if x > sub.Modulus/2 {
			v -= int64(sub.Modulus)
		}
		values[i] = float64(v) * h.unit
	}
	clear(c0)
	return set.open(values)
}

// open compares every canary and takes the data rows out from between them. It
// also returns the largest error of a canary: for the holder's eyes only.
func (s *CanarySet) open(values []float64) ([]float64, float64, error) {
	canary := make([]bool, len(values))
	worst := 0.0
	for i, pos := range s.At {
		canary[pos] = true
		worst = max(worst, math.Abs(values[pos]-s.Want[i])) // max keeps NaN
	}
	if !(worst <= s.Bound) {
		return nil, 0, fhe.ErrCanary
	}
	rows := make([]float64, 0, s.Rows)
	for pos, v := range values {
		if !canary[pos] {
			rows = append(rows, v)
		}
	}
	return rows, worst, nil
}

// Round rounds values to multiples of 2^-logprec, halves to even. Everything
// that leaves the project goes through it: see the package comment and
// ReleasePrecision.
func Round(values []float64, logprec int) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Ldexp(math.RoundToEven(math.Ldexp(v, logprec)), -logprec)
	}
	return out
}

// ReleasePrecision is the logprec for Round at which one step is at least 16
// times the largest error: a rounded value then equals the rounded exact
// answer in all but about one of sixteen cases in the worst case, and far more
// often in practice. It reduces what a release says about the key; it does not
// make unlimited releases safe.
func ReleasePrecision(maxError float64) (int, error) {
	if !(maxError > 0) || math.IsInf(maxError, 0) {
		return 0, fmt.Errorf("%w: largest error is %g", fhe.ErrRange, maxError)
	}
	return int(math.Floor(-math.Log2(16 * maxError))), nil
}

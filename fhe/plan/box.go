package plan

import (
	"math"

	"cipherdeck/fhe"
)

func span(rows [][]float64) []fhe.Range {
	box := make([]fhe.Range, len(rows[0]))
	for j := range box {
		box[j] = fhe.Range{Low: rows[0][j], High: rows[0][j]}
		for _, r := range rows[1:] {
			box[j].Low = min(box[j].Low, r[j])
			box[j].High = max(box[j].High, r[j])
		}
	}
	return box
}

// widen grows every range by margin of its width, half at each end. A feature
// that is constant on the calibration rows may still move in the data: it gets
// its own magnitude as half width, or 1 if it is zero (a one-hot column).
func widen(box []fhe.Range, margin float64) []fhe.Range {
	out := make([]fhe.Range, len(box))
	for j, r := range box {
		c, h := centre(r), half(r)*(1+margin)
		if h == 0 {
			h = math.Abs(c)
		}
		if h == 0 {
			h = 1
		}
		out[j] = fhe.Range{Low: min(c-h, r.Low), High: max(c+h, r.High)}
	}
	return out
}

func centre(r fhe.Range) float64 { return r.Low/2 + r.High/2 }
func half(r fhe.Range) float64   { return r.High/2 - r.Low/2 }
func most(r fhe.Range) float64   { return max(math.Abs(r.Low), math.Abs(r.High)) }

// reach is the largest magnitude of a logit inside the box.
func reach(aff fhe.Affine, box []fhe.Range) float64 {
	mid, spread := aff.Bias, 0.0
	for j, r := range box {
		mid += aff.Weights[j] * centre(r)
		spread += math.Abs(aff.Weights[j]) * half(r)
	}
	return math.Abs(mid) + spread
}

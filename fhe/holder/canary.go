package holder

import (
	"crypto/rand"
	"fmt"
	"math"
	mrand "math/rand/v2"

	"cipherdeck/fhe"
)

// Known is a row whose logit is known in clear: a canary.
type Known struct {
	Row   []float64 // raw units
	Logit float64
}

// CanarySet is what Decrypt needs about one batch. It tells the positions of
// the canaries, so it is as secret as the rows; it may be stored (deterministic
// CBOR) while a job runs.
type CanarySet struct {
	V     uint8     `cbor:"1,keyasint"`
	Rows  int       `cbor:"2,keyasint"` // data rows in the batch
	At    []uint32  `cbor:"3,keyasint"` // positions of the known rows
	Want  []float64 `cbor:"4,keyasint"` // their logits
	Bound float64   `cbor:"5,keyasint"` // largest error allowed
}

// check refuses a set that was not made for a batch of n positions.
func (s *CanarySet) check(n int) error {
	if s == nil || s.V != 1 || s.Rows < 0 || len(s.At) == 0 || s.Rows+len(s.At) != n || len(s.Want) != len(s.At) {
		return fmt.Errorf("%w: canary set does not fit a batch of %d rows", fhe.ErrMalformed, n)
	}
	seen := make([]bool, n)
	for _, pos := range s.At {
		if int64(pos) >= int64(n) || seen[pos] {
			return fmt.Errorf("%w: canary set: position %d is repeated or outside the batch", fhe.ErrMalformed, pos)
		}
		seen[pos] = true
	}
	return nil
}

// Draw makes n known rows inside the box of a plan. Every value has at least
// half the largest magnitude that its feature reaches in the box, so that no
// weight can change without moving the answer of every canary.
func Draw(aff fhe.Affine, box []fhe.Range, n int) ([]Known, error) {
	if len(aff.Weights) != len(box) {
		return nil, fmt.Errorf("%w: model has %d weights, the plan's box %d ranges", fhe.ErrRange, len(aff.Weights), len(box))
	}
	var seed [32]byte
	rand.Read(seed[:])
	r := mrand.New(mrand.NewChaCha8(seed))
	out := make([]Known, n)
	for i := range out {
		out[i] = Known{Row: make([]float64, len(box)), Logit: aff.Bias}
		for j, b := range box {
			x := draw(r, b)
			out[i].Row[j] = x
			out[i].Logit += aff.Weights[j] * x
		}
	}
	return out, nil
}

// outer is the part of a range with at least half its largest magnitude: the
// low part ends at lowEnd, the high part starts at highStart; one may be empty.
func outer(b fhe.Range) (top, low, high float64) {
	top = max(math.Abs(b.Low), math.Abs(b.High))
	low = max(0, min(b.High, -top/2)-b.Low)
	high = max(0, b.High-max(b.Low, top/2))
	return top, low, high
}

func draw(r *mrand.Rand, b fhe.Range) float64 {
	_, low, high := outer(b)
	x := r.Float64() * (low + high)
	if x < low {
		return b.Low + x
	}
	return max(b.Low, b.High-(x-low))
}

// DetectionProbability is the chance that at least one of c canaries at secret
// positions is hit when a fraction f of all positions is answered wrongly:
// 1-(1-f)^c.
func DetectionProbability(f float64, c int) float64 {
	return -math.Expm1(float64(c) * math.Log1p(-min(max(f, 0), 1)))
}

// Moved is the fraction f of drawn canaries that a change of delta in the
// weight of a feature with range b is sure to fail: those with
// |delta·x| > 2·bound (the honest error may point the other way).
func Moved(delta float64, b fhe.Range, bound float64) float64 {
	need := 2 * bound / math.Abs(delta)
	_, low, high := outer(b)
	hitLow := min(low, max(0, -need-b.Low))
	hitHigh := min(high, max(0, b.High-need))
	if low+high == 0 { // a single value
		if math.Abs(b.High) > need {
			return 1
		}
		return 0
	}
	return (hitLow + hitHigh) / (low + high)
}

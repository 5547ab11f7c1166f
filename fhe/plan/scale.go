package plan

import (
	"math"
	"math/big"

	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/params"
)

// Standard deviation of the encryption error and the tail that is promised:
// see the package comment.
const (
	sigma = 3.2
	tail  = 9.0
)

// scaling is one way to write the model in integers.
type scaling struct {
	params  fhe.Params
	scales  []int8
	weights []*big.Int
	bias    *big.Int
	bound   float64
}

// settle returns the cheapest candidate that keeps the error below want, or
// nil.
func settle(aff fhe.Affine, box []fhe.Range, want float64) *scaling {
	for _, c := range candidates {
		q, err := params.Primes(c.logN, params.MaxBits, c.primes)
		if err != nil {
			continue
		}
		p := fhe.Params{LogN: c.logN, Q: q, LogScale: outScale(q, reach(aff, box)+want)}
		if p.LogScale < 0 || params.Check(p) != nil {
			continue
		}
		if s := balance(aff, box, p); s != nil && s.bound <= want {
			return s
		}
	}
	return nil
}

// outScale is the largest D for which a logit of magnitude r at scale 2^D fits
// half the modulus, less one part in 64 for the error.
func outScale(q []uint64, r float64) int {
	room := -1.0 - 1.0/32
	for _, qi := range q {
		room += math.Log2(float64(qi))
	}
	return int(math.Floor(room - math.Log2(max(r, 1e-9))))
}

// balance picks the d_j. Encryption error costs |w_j|·2^-d_j, rounding of the
// weight costs h_j·2^(d_j-D): a common shift trades one for the other, and the
// best of a few is kept.
func balance(aff fhe.Affine, box []fhe.Range, p fhe.Params) (best *scaling) {
	largest := 0.0
	for j, r := range box {
		largest = max(largest, math.Abs(aff.Weights[j])*half(r))
	}
	for shift := -4; shift <= 4; shift++ {
		scales := make([]int8, len(box))
		ok := true
		for j, r := range box {
			// A weight near zero still gets a useful scale, as if it contributed a little.
			w := max(math.Abs(aff.Weights[j]), max(largest, 1e-9)/1024/half(r))
			d := math.Round((math.Log2(2*tail*sigma*w/half(r))+float64(p.LogScale))/2) + float64(shift)
			ok = ok && math.Abs(d) < 120 && most(r)*math.Exp2(d) < 1<<61
			scales[j] = int8(min(max(d, -120), 120))
		}
		if !ok {
			continue
		}
		s := quantise(aff, box, p, scales)
		if best == nil || s.bound < best.bound {
			best = s
		}
	}
	return best
}

// quantise computes the integers with exact arithmetic, so that every
// architecture gets the same ones, and their error bound.
func quantise(aff fhe.Affine, box []fhe.Range, p fhe.Params, scales []int8) *scaling {
	s := &scaling{params: p, scales: scales, weights: make([]*big.Int, len(box))}
	bias, square, drift, clear := exact(aff.Bias), 0.0, 0.0, math.Abs(aff.Bias)
	for j, w := range aff.Weights {
		shift := p.LogScale - int(scales[j])
		s.weights[j] = round(shifted(exact(w), shift))
		back := shifted(new(big.Float).SetPrec(prec).SetInt(s.weights[j]), -shift)
		off := back.Sub(exact(w), back) // w − what the integer stands for
		miss, _ := off.Float64()
		drift += math.Abs(miss) * half(box[j])
		bias.Add(bias, off.Mul(off, exact(centre(box[j]))))
		wide, _ := new(big.Float).SetInt(s.weights[j]).Float64()
		square += wide * wide
		clear += math.Abs(w) * most(box[j])
	}
	s.bias = round(shifted(bias, p.LogScale))
	unit := math.Exp2(-float64(p.LogScale))
	s.bound = tail*unit*math.Sqrt((sigma*sigma+1.0/12)*square) + drift + unit +
		float64(len(box)+4)*0x1p-52*clear
	if len(p.Q) > 1 {
		n := math.Exp2(float64(p.LogN))
		s.bound += tail * math.Sqrt((2*n/3+1)/12) * float64(p.Q[1]) * unit
	}
	return s
}

// prec is enough bits for the exact sum of the products that occur.
const prec = 1024

func exact(x float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(x) }

func shifted(x *big.Float, n int) *big.Float { return x.SetMantExp(x, n) }

// round rounds half away from zero.
func round(x *big.Float) *big.Int {
	h := exact(0.5)
	if x.Signbit() {
		h.Neg(h)
	}
	i, _ := h.Add(h, x).Int(nil)
	return i
}

func (s *scaling) encoded() *codec.Model {
	m := &codec.Model{Bias: s.residues(s.bias)}
	for _, w := range s.weights {
		m.Weights = append(m.Weights, s.residues(w))
	}
	return m
}

func (s *scaling) residues(x *big.Int) []uint64 {
	out := make([]uint64, len(s.params.Q))
	for i, q := range s.params.Q {
		out[i] = new(big.Int).Mod(x, new(big.Int).SetUint64(q)).Uint64()
	}
	return out
}

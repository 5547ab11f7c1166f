// Package plan decides how a linear model is computed blind, before anything
// is encrypted: parameters, scales, size, time and the largest error.
//
// # Arithmetic
//
// Feature j of a row is encrypted as the integer X = round(x·2^d_j), one row a
// coefficient. The model is the integers W_j = round(w_j·2^(D-d_j)) and a bias
// at scale 2^D, so ΣW_j·X_j + B is the logit at scale 2^D modulo Q. With two
// primes the node divides it by the second. There is no client-side
// normalisation: the d_j give every feature its own scale, which loses no
// more precision than standardising would and leaves no extra state to agree
// on. What the node can infer from d_j is the magnitude of a feature's
// contribution, to a power of two.
//
// # Box
//
// The calibration rows span a box; Make widens it by Options.Margin. Inside the
// box no logit overflows the modulus and the error bound holds, whatever the
// combination of features; rows outside are refused by the holder. This is
// interval arithmetic, hence wider than the calibration logits alone.
//
// # Error bound
//
// With k = 9 standard deviations (a Gaussian tail below 2^-60 for one row, so
// below 2^-30 for a billion), and all W and B known exactly:
//
//	noise     k·2^-D·σ·|W|₂     σ² = 3.2² + 1/12: encryption error and the rounding of X
//	weights   Σ|W_j·2^(d_j-D) − w_j|·h_j    h_j half the width of the box; B cancels the error at its centre
//	rescale   k·σ_r·q₁/2^D      σ_r² = (2N/3 + 1)/12: rounding of both halves, ternary secret; two primes only
//	float64   (n+4)·2^-52·(|b| + Σ|w_j|·max|x_j|): the clear reference's own rounding
//
// The bound is their sum. Measured maxima over 10^5 rows stay within a factor
// of about 10 below it.
package plan

import (
	"fmt"
	"math"

	"cipherdeck/crypto/id"
	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/params"
)

// Options are what the person may choose. Zero values mean the defaults.
type Options struct {
	Rows     int     // data rows to be scored; default: the calibration rows
	Canaries int     // in every batch; default DefaultCanaries
	MaxError float64 // of a logit, absolute; default DefaultMaxError
	Margin   float64 // how much wider the box is than the calibration rows, 1 doubles it; default 1
	Workers  int     // for the forecast of seconds; default 1
}

// The defaults of Options.
const (
	DefaultCanaries = 32
	DefaultMaxError = 1e-3
	DefaultMargin   = 1.0
)

// candidates are tried in order; primes have 49 bits. One prime is half the
// work and half the bytes of two.
var candidates = [...]struct{ logN, primes int }{{12, 1}, {12, 2}, {13, 2}}

// Gate refuses parameters below 128-bit security: see params.Gate.
func Gate(p fhe.Params) error { return params.Gate(p) }

// Make plans the model aff, finished by final, from calibration rows (at least
// two, of len(aff.Weights) finite values): best all the rows to be scored, since
// a row far outside them is refused later. It returns the plan and the encoded
// model that the plan names. Errors wrap fhe.ErrUnsupported, fhe.ErrRange or
// fhe.ErrInsecure.
func Make(aff fhe.Affine, final fhe.Final, calibration [][]float64, opt Options) (*fhe.Plan, []byte, error) {
	if err := check(aff, calibration); err != nil {
		return nil, nil, err
	}
	opt = opt.withDefaults(len(calibration))
	box := widen(span(calibration), opt.Margin)
	s := settle(aff, box, opt.MaxError)
	if s == nil {
		return nil, nil, fmt.Errorf("%w: no parameters reach an error of %g with contributions of up to %.3g",
			fhe.ErrUnsupported, opt.MaxError, reach(aff, box))
	}
	core := fhe.Core{V: 1, Layout: fhe.LayoutFeatureMajor, Params: s.params, Features: len(aff.Weights),
		Levels: len(s.params.Q) - 1, Final: final, Scales: s.scales}
	f, err := codec.New(core)
	if err != nil {
		return nil, nil, err
	}
	model, err := f.EncodeModel(s.encoded())
	if err != nil {
		return nil, nil, err
	}
	core.Model = id.Of(model)
	p := &fhe.Plan{Core: core, Box: box}
	p.Forecast, err = forecast(f, core, opt)
	p.Forecast.MaxError = s.bound
	p.Forecast.ClearMinimum, p.Forecast.ClearMaximum = logits(aff, calibration)
	return p, model, err
}

func (o Options) withDefaults(rows int) Options {
	if o.Rows <= 0 {
		o.Rows = rows
	}
	if o.Canaries <= 0 {
		o.Canaries = DefaultCanaries
	}
	if o.MaxError <= 0 {
		o.MaxError = DefaultMaxError
	}
	if o.Margin <= 0 {
		o.Margin = DefaultMargin
	}
	o.Workers = max(o.Workers, 1)
	return o
}

func check(aff fhe.Affine, rows [][]float64) error {
	n := len(aff.Weights)
	if n == 0 || n > params.MaxFeatures {
		return fmt.Errorf("%w: model has %d features, want 1 to %d", fhe.ErrUnsupported, n, params.MaxFeatures)
	}
	for j, w := range append([]float64{aff.Bias}, aff.Weights...) {
		if math.Abs(w) > maxMagnitude || math.IsNaN(w) {
			return fmt.Errorf("%w: model: weight %d (0 is the bias) is %g", fhe.ErrRange, j, w)
		}
	}
	if len(rows) < 2 {
		return fmt.Errorf("%w: %d calibration rows, want at least 2", fhe.ErrRange, len(rows))
	}
	for i, r := range rows {
		if len(r) != n {
			return fmt.Errorf("%w: calibration row %d has %d columns, model has %d features", fhe.ErrRange, i+1, len(r), n)
		}
		for j, x := range r {
			if math.Abs(x) > maxMagnitude || math.IsNaN(x) {
				return fmt.Errorf("%w: calibration row %d, column %d is %g", fhe.ErrRange, i+1, j+1, x)
			}
		}
	}
	return nil
}

// maxMagnitude keeps every intermediate of the planner far from overflow.
const maxMagnitude = 1e30

func logits(aff fhe.Affine, rows [][]float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, r := range rows {
		z := aff.Bias
		for j, x := range r {
			z += aff.Weights[j] * x
		}
		lo, hi = min(lo, z), max(hi, z)
	}
	return lo, hi
}

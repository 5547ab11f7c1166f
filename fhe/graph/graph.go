// Package graph turns an ONNX model into the chain of steps that can be
// computed blind, and computes it in clear.
//
// Supported: Sub, Add, Mul, Div with a constant, MatMul and Gemm with constant
// weights, Constant, Identity, and a final Sigmoid; one input of shape
// [rows, features], one output of one column. Everything else is refused by the
// name of its operator and node, before any data is touched.
//
// Eval runs the steps one by one in float64 and is the clear reference. Affine
// folds them into one dot product, which is what gets encrypted: Sub and Div
// that normalise features disappear into the weights, so the analyst encrypts
// raw features and no step has to be repeated on her side.
package graph

import (
	"fmt"
	"math"

	"cipherdeck/fhe"
)

// Graph is a supported model. It is immutable.
type Graph struct {
	Features int       // columns of a row
	Final    fhe.Final // applied to the logit, in clear
	Nodes    []string  // "Op name" of every node, in order, for people
	steps    []step
}

type kind uint8

const (
	add    kind = iota // x + v
	sub                // x − v
	subOf              // v − x
	mul                // x · v
	div                // x / v
	matmul             // x · w
)

// step is one affine map from rows of width in to rows of width out. v has one
// element for each column, or one for all.
type step struct {
	kind    kind
	v       []float64
	w       []float64 // matmul: in × out, row-major
	in, out int
}

func (s *step) at(j int) float64 {
	if len(s.v) == 1 {
		return s.v[0]
	}
	return s.v[j]
}

// apply computes the step on one row.
func (s *step) apply(x []float64) []float64 {
	y := make([]float64, s.out)
	if s.kind == matmul {
		for i, xi := range x {
			for j := range y {
				y[j] += xi * s.w[i*s.out+j]
			}
		}
		return y
	}
	for j, xj := range x {
		switch v := s.at(j); s.kind {
		case add:
			y[j] = xj + v
		case sub:
			y[j] = xj - v
		case subOf:
			y[j] = v - xj
		case mul:
			y[j] = xj * v
		case div:
			y[j] = xj / v
		}
	}
	return y
}

// Logits computes the model before its final step, one number a row. Errors
// wrap fhe.ErrRange and name row and column, counted from 1.
func (g *Graph) Logits(rows [][]float64) ([]float64, error) {
	out := make([]float64, len(rows))
	for i, r := range rows {
		if len(r) != g.Features {
			return nil, fmt.Errorf("%w: row %d has %d columns, the model has %d features", fhe.ErrRange, i+1, len(r), g.Features)
		}
		for j, x := range r {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, fmt.Errorf("%w: row %d, column %d is %g", fhe.ErrRange, i+1, j+1, x)
			}
		}
		for k := range g.steps {
			r = g.steps[k].apply(r)
		}
		out[i] = r[0]
	}
	return out, nil
}

// Eval computes the whole model in clear: Finish of Logits.
func (g *Graph) Eval(rows [][]float64) ([]float64, error) {
	z, err := g.Logits(rows)
	if err != nil {
		return nil, err
	}
	return Finish(g.Final, z)
}

// Finish applies the final step to logits. An unknown step wraps
// fhe.ErrUnsupported.
func Finish(f fhe.Final, logits []float64) ([]float64, error) {
	out := make([]float64, len(logits))
	switch f {
	case fhe.FinalNone:
		copy(out, logits)
	case fhe.FinalSigmoid:
		for i, z := range logits {
			out[i] = Sigmoid(z)
		}
	default:
		return nil, fmt.Errorf("%w: final step %q", fhe.ErrUnsupported, f)
	}
	return out, nil
}

// Sigmoid is 1/(1+e^-z), without overflow at either end.
func Sigmoid(z float64) float64 {
	if z >= 0 {
		return 1 / (1 + math.Exp(-z))
	}
	e := math.Exp(z)
	return e / (1 + e)
}

// Affine folds all steps into one dot product over raw features. It goes from
// the output to the input, so that it holds one column at a time. The error
// wraps fhe.ErrUnsupported when a folded weight is not finite.
func (g *Graph) Affine() (fhe.Affine, fhe.Final, error) {
	weights, bias := []float64{1}, 0.0
	for i := len(g.steps) - 1; i >= 0; i-- {
		weights, bias = g.steps[i].foldInto(weights, bias)
	}
	for j, w := range append([]float64{bias}, weights...) {
		if math.IsNaN(w) || math.IsInf(w, 0) {
			return fhe.Affine{}, "", fmt.Errorf("%w: folded weight %d (0 is the bias) is %g", fhe.ErrUnsupported, j, w)
		}
	}
	return fhe.Affine{Weights: weights, Bias: bias}, g.Final, nil
}

// foldInto returns the weights and bias over the step's input that equal
// weights and bias over its output.
func (s *step) foldInto(weights []float64, bias float64) ([]float64, float64) {
	before := make([]float64, s.in)
	if s.kind == matmul {
		for i := range before {
			for j, w := range weights {
				before[i] += s.w[i*s.out+j] * w
			}
		}
		return before, bias
	}
	for j, w := range weights {
		switch v := s.at(j); s.kind {
		case add:
			before[j], bias = w, bias+w*v
		case sub:
			before[j], bias = w, bias-w*v
		case subOf:
			before[j], bias = -w, bias+w*v
		case mul:
			before[j] = w * v
		case div:
			before[j] = w / v
		}
	}
	return before, bias
}

// Package circuit is the side of encrypted inference that computes: it has the
// plan, the model and ciphertexts, and no key of any kind, because a linear
// model needs none. It runs on a machine that nobody has to trust with data.
//
// Evaluation is exact arithmetic modulo primes in a fixed order: the same plan,
// model and batch give the same bytes on every machine, so two nodes can be
// compared by the hash of their results.
//
// There is no circuit privacy: the noise of a result depends on the model, so
// the holder of the key could learn about the weights. He usually has the model
// anyway (he draws canaries from it); where he must not, do not use this.
package circuit

import (
	"context"
	"fmt"
	"math/big"
	"sync"

	"github.com/tuneinsight/lattigo/v5/ring"

	"cipherdeck/crypto/id"
	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
)

// Circuit is one model, ready to be evaluated from many goroutines.
type Circuit struct {
	format  *codec.Format
	weights [][]uint64 // [feature][limb], Montgomery form
	bias    [][]uint64 // [limb][coefficient], NTT form
	inverse uint64     // of the second prime modulo the first, Montgomery form
	benches sync.Pool  // of *bench
}

// bench is the scratch of one evaluation.
type bench struct{ in0, in1, sum0, sum1 [][]uint64 }

// Load prepares an encoded model for a plan core. The model must be the one
// that the core names: errors wrap fhe.ErrMalformed, fhe.ErrInsecure or
// fhe.ErrUnsupported.
func Load(core fhe.Core, model []byte) (*Circuit, error) {
	f, err := codec.New(core)
	if err != nil {
		return nil, err
	}
	if got := id.Of(model); got != core.Model {
		return nil, fmt.Errorf("%w: model is %s, the plan names %s", fhe.ErrMalformed, got, core.Model)
	}
	m, err := f.DecodeModel(model)
	if err != nil {
		return nil, err
	}
	c := &Circuit{format: f, weights: m.Weights}
	for i, sub := range f.Ring.SubRings {
		for _, w := range c.weights {
			w[i] = ring.MForm(w[i], sub.Modulus, sub.BRedConstant)
		}
		row := make([]uint64, core.Params.N())
		for r := range row {
			row[r] = m.Bias[i] // the bias belongs to every row
		}
		sub.NTT(row, row)
		c.bias = append(c.bias, row)
	}
	if q := core.Params.Q; len(q) > 1 {
		first := f.Ring.SubRings[0]
		inv := new(big.Int).ModInverse(new(big.Int).SetUint64(q[1]), new(big.Int).SetUint64(q[0])).Uint64()
		c.inverse = ring.MForm(inv, q[0], first.BRedConstant)
	}
	c.benches.New = func() any {
		return &bench{limbs(core), limbs(core), limbs(core), limbs(core)}
	}
	return c, nil
}

func limbs(core fhe.Core) [][]uint64 {
	out := make([][]uint64, len(core.Params.Q))
	for i := range out {
		out[i] = make([]uint64, core.Params.N())
	}
	return out
}

// Evaluate computes the model on one batch and returns the result. It stops
// between features when ctx ends. Errors wrap fhe.ErrMalformed.
func (c *Circuit) Evaluate(ctx context.Context, batch []byte) ([]byte, error) {
	in, err := c.format.OpenBatch(batch)
	if err != nil {
		return nil, err
	}
	b := c.benches.Get().(*bench)
	defer c.benches.Put(b)
	for i := range b.sum0 {
		copy(b.sum0[i], c.bias[i])
		clear(b.sum1[i])
	}
	for j, w := range c.weights {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := in.Seeded(j, b.in0, b.in1); err != nil {
			return nil, err
		}
		for i, sub := range c.format.Ring.SubRings {
			sub.MulScalarMontgomeryThenAdd(b.in0[i], w[i], b.sum0[i])
			sub.MulScalarMontgomeryThenAdd(b.in1[i], w[i], b.sum1[i])
		}
	}
	if len(b.sum0) > 1 {
		c.rescale(b.sum0, b.in0)
		c.rescale(b.sum1, b.in1)
	}
	return c.format.EncodeResult(b.sum0[0], b.sum1[0]), nil
}

// rescale divides x by the second prime, rounding to nearest, and leaves one
// limb: x₀ ← (x₀ − [x₁ centred]) / q₁ modulo q₀. It is written out because the
// library's own works on lazily reduced values, which can round by one more.
func (c *Circuit) rescale(x, scratch [][]uint64) {
	first, last := c.format.Ring.SubRings[0], c.format.Ring.SubRings[1]
	last.INTT(x[1], scratch[1])
	q0, q1 := first.Modulus, last.Modulus
	for i, v := range scratch[1] {
		if v > q1/2 { // stands for v − q₁
			scratch[0][i] = q0 - (q1-v)%q0
		} else {
			scratch[0][i] = v % q0
		}
	}
	first.NTT(scratch[0], scratch[0])
	first.Sub(x[0], scratch[0], x[0])
	first.MulScalarMontgomery(x[0], c.inverse, x[0])
}

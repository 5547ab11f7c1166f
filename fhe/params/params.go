// Package params decides which CKKS parameters are acceptable. It is pure
// number theory: no ring arithmetic, no Lattigo.
//
// A ring of degree N hides a message only while the modulus is small: Gate
// holds the published table of the largest log2(Q·P) that leaves 128 bits of
// classical security for a uniform ternary secret and error of standard
// deviation 3.2. Every path by which parameters enter the program (a new plan,
// a plan from the wire) passes through Check, so a hostile plan cannot talk a
// holder into a weak key.
package params

import (
	"fmt"
	"math/big"
	"math/bits"

	"cipherdeck/fhe"
)

// Source is where the bounds are published.
const Source = "Bossuat et al., Security Guidelines for Implementing HE, ePrint 2024/463"

// The ring degrees, prime sizes and model sizes that are accepted.
const (
	MinLogN     = 12
	MaxLogN     = 16
	MaxBits     = 49 // of one prime: fits the 52-bit vector multipliers of newer processors
	MinBits     = 25
	MaxPrimes   = 32
	MaxFeatures = 4096
	MaxLogScale = 1024
)

// MaxBatch bounds the bytes of one batch of ciphertexts: what a server takes as
// one blob, and what a node holds in memory for each batch that it works on.
// It is reached before MaxFeatures: at 667 features with the smallest ring and
// one prime.
const MaxBatch = 16 << 20

// The fixed parts of a batch, in bytes: see docs/formats/fhe.md.
const (
	HeaderSize = 48 // of every form
	SeedSize   = 32 // of every ciphertext of a batch
)

// BatchSize is the exact bytes of a batch for parameters that Check accepts and
// 0 to MaxFeatures features: a header, and for each feature a seed and N
// coefficients for each prime, packed to its bit length.
func BatchSize(p fhe.Params, features int) int {
	poly := 0
	for _, q := range p.Q {
		poly += p.N() / 8 * bits.Len64(q)
	}
	return HeaderSize + features*(SeedSize+poly)
}

// maxLogQP is the bound for LogN 12, 13, … 16: uniform ternary secret, 128-bit
// classical security, table of Source.
var maxLogQP = [...]float64{106, 214, 430, 868, 1747}

// Bound is the largest log2(Q·P) at ring degree 2^logN, 0 when it is unknown.
func Bound(logN int) float64 {
	if logN < MinLogN || logN > MaxLogN {
		return 0
	}
	return maxLogQP[logN-MinLogN]
}

// LogQP is log2 of the product of all primes, rounded up to 2^-20 so that a
// modulus just above a bound is never rounded down to it.
func LogQP(p fhe.Params) float64 {
	prod := big.NewInt(1)
	for _, q := range append(append([]uint64{}, p.Q...), p.P...) {
		prod.Mul(prod, new(big.Int).SetUint64(q))
	}
	return log2Up(prod)
}

// log2Up squares its way through 20 binary digits of log2(x).
func log2Up(x *big.Int) float64 {
	n := x.BitLen() - 1
	if n < 0 {
		return 0
	}
	f := new(big.Float).SetPrec(256).SetInt(x)
	f.SetMantExp(f, -n) // in [1, 2)
	frac, two := 0.0, big.NewFloat(2)
	for step := 0.5; step > 1.0/(1<<21); step /= 2 {
		f.Mul(f, f)
		if f.Cmp(two) >= 0 {
			frac += step
			f.Quo(f, two)
		}
	}
	if f.Cmp(big.NewFloat(1)) > 0 {
		frac += 1.0 / (1 << 20)
	}
	return float64(n) + frac
}

// Gate refuses parameters that the published table does not rate at 128 bits:
// errors wrap fhe.ErrInsecure.
func Gate(p fhe.Params) error {
	bound := Bound(p.LogN)
	if bound == 0 {
		return fmt.Errorf("%w: params.log_n is %d, want %d to %d", fhe.ErrInsecure, p.LogN, MinLogN, MaxLogN)
	}
	if len(p.Q)+len(p.P) > MaxPrimes {
		return fmt.Errorf("%w: params has %d primes, at most %d", fhe.ErrInsecure, len(p.Q)+len(p.P), MaxPrimes)
	}
	if got := LogQP(p); got > bound {
		return fmt.Errorf("%w: log2(QP) is %.2f, at most %.0f at log_n %d (%s)", fhe.ErrInsecure, got, bound, p.LogN, Source)
	}
	return nil
}

// Check accepts parameters that Gate accepts and that the arithmetic needs:
// distinct primes of MinBits to MaxBits bits, each 1 modulo 2N. Errors wrap
// fhe.ErrInsecure or fhe.ErrMalformed.
func Check(p fhe.Params) error {
	if err := Gate(p); err != nil {
		return err
	}
	if len(p.Q) == 0 {
		return fmt.Errorf("%w: params.q is empty", fhe.ErrMalformed)
	}
	if p.LogScale < 0 || p.LogScale > MaxLogScale {
		return fmt.Errorf("%w: params.log_scale is %d, want 0 to %d", fhe.ErrMalformed, p.LogScale, MaxLogScale)
	}
	seen := map[uint64]bool{}
	for i, q := range append(append([]uint64{}, p.Q...), p.P...) {
		if seen[q] || !suits(q, p.LogN) {
			return fmt.Errorf("%w: params prime %d (%d) is repeated, not prime, not 1 mod 2N or not %d to %d bits",
				fhe.ErrMalformed, i, q, MinBits, MaxBits)
		}
		seen[q] = true
	}
	return nil
}

// CheckCore accepts a plan that this version can execute: a linear model of 1
// to MaxFeatures features whose batches have at most MaxBatch bytes. Errors wrap fhe.ErrInsecure, fhe.ErrMalformed or
// fhe.ErrUnsupported.
func CheckCore(c fhe.Core) error {
	if c.V != 1 || c.Layout != fhe.LayoutFeatureMajor {
		return fmt.Errorf("%w: plan version %d, layout %q; want 1, %q", fhe.ErrUnsupported, c.V, c.Layout, fhe.LayoutFeatureMajor)
	}
	if err := Check(c.Params); err != nil {
		return err
	}
	if n := len(c.Params.Q); n > 2 || len(c.Params.P) != 0 || c.Levels != n-1 {
		return fmt.Errorf("%w: plan has %d primes, %d special primes, %d levels; a linear model has 1 or 2, 0, and one level less than primes",
			fhe.ErrMalformed, n, len(c.Params.P), c.Levels)
	}
	if c.Features < 1 || c.Features > MaxFeatures || len(c.Scales) != c.Features {
		return fmt.Errorf("%w: plan has %d features and %d scales, want 1 to %d of each", fhe.ErrMalformed, c.Features, len(c.Scales), MaxFeatures)
	}
	if n := BatchSize(c.Params, c.Features); n > MaxBatch {
		return fmt.Errorf("%w: a batch of %d features at log_n %d with %d primes has %d bytes, at most %d: use fewer features",
			fhe.ErrUnsupported, c.Features, c.Params.LogN, len(c.Params.Q), n, MaxBatch)
	}
	if c.Final != fhe.FinalNone && c.Final != fhe.FinalSigmoid {
		return fmt.Errorf("%w: plan.final is %q", fhe.ErrUnsupported, c.Final)
	}
	return nil
}

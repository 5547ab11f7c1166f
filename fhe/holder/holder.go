// Package holder is the side of encrypted inference that has the secret key:
// it makes the key, encrypts rows, decrypts results and checks the canaries.
// It runs on the analyst's machine and no server package may import it.
//
// A ciphertext is c0 = -c1·s + e + m, with c1 expanded from a fresh seed
// (codec.Uniform) so that it travels as 32 bytes, s uniform ternary, e a
// discrete Gaussian of standard deviation 3.2. Encryption is with the secret
// key: there is no public key to send and the noise is the least possible.
//
// # What must not leave
//
// A decrypted logit is the exact answer plus the noise of the ciphertext, and
// the noise depends on the key. Whoever sees many raw logits learns about the
// key (IND-CPA-D, Li and Micciancio, Eurocrypt 2021). Export Round(logits)
// only, and count the exports of a key: the count (a release budget) is not kept
// here.
//
// Do not tell the node whether, where or how far a result failed its check: a
// node that learns pass or fail can move a result step by step and read the
// positions of the canaries, then the rows, from the answers (a reaction
// attack; CKKS is malleable). A refused result is answered like an accepted
// one, and its job is not repeated with the same ciphertexts.
package holder

import (
	"crypto/rand"
	"fmt"
	"math"
	"sync"

	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
)

// Holder has the secret key of one plan. Its methods may be called from many
// goroutines until Close.
type Holder struct {
	format *codec.Format
	box    []fhe.Range
	bound  float64
	unit   float64 // one integer step of a decrypted coefficient, as a logit
	seed   [codec.SeedSize]byte
	secret [][]uint64 // limbs, NTT and Montgomery form
	gauss  gaussian
	desks  sync.Pool // of *desk
}

// desk is the scratch of one worker.
type desk struct {
	message []int64
	c0, c1  [][]uint64
}

// New makes a fresh secret key for a plan from the system's random source.
func New(p *fhe.Plan) (*Holder, error) {
	var seed [codec.SeedSize]byte
	rand.Read(seed[:])
	return FromSeed(p, seed)
}

// FromSeed makes the key again from the seed that Seed returned: 32 bytes to
// keep in the vault instead of an expanded key. A seed belongs to one plan core
// only; another core gives another key.
func FromSeed(p *fhe.Plan, seed [codec.SeedSize]byte) (*Holder, error) {
	f, err := codec.New(p.Core)
	if err != nil {
		return nil, err
	}
	if len(p.Box) != p.Core.Features {
		return nil, fmt.Errorf("%w: plan.box has %d ranges, want %d", fhe.ErrMalformed, len(p.Box), p.Core.Features)
	}
	if !(p.Forecast.MaxError > 0) || math.IsInf(p.Forecast.MaxError, 0) {
		return nil, fmt.Errorf("%w: plan.forecast.max_error is %g", fhe.ErrMalformed, p.Forecast.MaxError)
	}
	h := &Holder{format: f, box: p.Box, bound: p.Forecast.MaxError, seed: seed, gauss: newGaussian()}
	h.unit = math.Exp2(-float64(p.Core.Params.LogScale))
	for _, q := range p.Core.Params.Q[1:] {
		h.unit *= float64(q) // the node divided by it
	}
	h.secret, err = expandSecret(f, seed)
	h.desks.New = func() any {
		n := p.Core.Params.N()
		return &desk{message: make([]int64, n), c0: limbs(n, len(p.Core.Params.Q)), c1: limbs(n, len(p.Core.Params.Q))}
	}
	return h, err
}

// Seed is the secret from which the key is made: it belongs in the vault.
func (h *Holder) Seed() [codec.SeedSize]byte { return h.seed }

// Close overwrites the key, as far as a garbage-collected program can. The
// holder must not be used after it.
func (h *Holder) Close() {
	clear(h.seed[:])
	for _, l := range h.secret {
		clear(l)
	}
}

func limbs(n, count int) [][]uint64 {
	out := make([][]uint64, count)
	for i := range out {
		out[i] = make([]uint64, n)
	}
	return out
}

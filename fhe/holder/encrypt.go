package holder

import (
	"crypto/rand"
	"fmt"
	"math"
	mrand "math/rand/v2"

	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
)

// Encrypt makes one batch of rows (shape: rows × features, raw units) and of
// the known rows, which are the canaries: they take secret random positions,
// the rows keep their order around them. Positions that stay free are filled
// with known rows again, so that every coefficient of the answer is checked.
// rows and known together fill at most Core.BatchRows; known may not be empty.
//
// Errors wrap fhe.ErrRange and name row and column, both counted from 1: a
// value that is not finite or outside the box of the plan is never encrypted.
func (h *Holder) Encrypt(rows [][]float64, known []Known) ([]byte, *CanarySet, error) {
	n := h.format.Core.BatchRows()
	if len(known) == 0 || len(rows)+len(known) > n {
		return nil, nil, fmt.Errorf("%w: %d rows and %d canaries, want at least 1 canary and at most %d together",
			fhe.ErrRange, len(rows), len(known), n)
	}
	if err := h.checkRows(rows); err != nil {
		return nil, nil, err
	}
	for _, k := range known {
		if err := h.checkRows([][]float64{k.Row}); err != nil {
			return nil, nil, fmt.Errorf("canary: %w", err)
		}
	}
	placed, set := place(rows, known, n, h.bound)
	batch := h.format.NewBatch()
	d := h.desks.Get().(*desk)
	defer h.release(d)
	for j := range h.format.Core.Features {
		if err := h.encryptFeature(batch, j, placed, d); err != nil {
			return nil, nil, err
		}
	}
	return batch, set, nil
}

// release wipes what was in clear and keeps the memory for the next batch.
func (h *Holder) release(d *desk) {
	clear(d.message)
	h.desks.Put(d)
}

func (h *Holder) checkRows(rows [][]float64) error {
	for i, r := range rows {
		if len(r) != len(h.box) {
			return fmt.Errorf("%w: row %d has %d columns, the model has %d features", fhe.ErrRange, i+1, len(r), len(h.box))
		}
		for j, x := range r {
			if b := &h.box[j]; !(x >= b.Low && x <= b.High) { // written so that NaN fails
				return fmt.Errorf("%w: row %d, column %d is %g, want %g to %g", fhe.ErrRange, i+1, j+1, x, b.Low, b.High)
			}
		}
	}
	return nil
}

// place assigns a row to each of n positions.
func place(rows [][]float64, known []Known, n int, bound float64) ([][]float64, *CanarySet) {
	var seed [32]byte
	rand.Read(seed[:])
	order := mrand.New(mrand.NewChaCha8(seed)).Perm(n)[:n-len(rows)]
	at := make([][]float64, n)
	set := &CanarySet{V: 1, Rows: len(rows), Bound: bound}
	for i, pos := range order {
		k := known[i%len(known)]
		at[pos] = k.Row
		set.At = append(set.At, uint32(pos))
		set.Want = append(set.Want, k.Logit)
	}
	for pos := range at {
		if at[pos] == nil {
			at[pos], rows = rows[0], rows[1:]
		}
	}
	return at, set
}

func (h *Holder) encryptFeature(batch []byte, j int, rows [][]float64, d *desk) error {
	var fresh [2 * codec.SeedSize]byte // of c1, public; of the error, secret
	rand.Read(fresh[:])
	defer clear(fresh[:])
	noise, err := keystream(fresh[codec.SeedSize:])
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	scale := math.Ldexp(1, int(h.format.Core.Scales[j])) // a power of two: the product is exact
	for i, r := range rows {
		d.message[i] = int64(math.RoundToEven(r[j] * scale))
	}
	h.gauss.add(d.message, noise)
	seed := (*[codec.SeedSize]byte)(fresh[:])
	top := max(math.Abs(h.box[j].Low), math.Abs(h.box[j].High))*scale + largest + 1
	for i, sub := range h.format.Ring.SubRings {
		c0, c1, q := d.c0[i], d.c1[i], sub.Modulus
		reduce(c0, d.message, q, top < float64(q))
		sub.NTT(c0, c0)
		codec.Uniform(c1, seed, i, q)
		sub.MulCoeffsMontgomeryThenSub(c1, h.secret[i], c0)
	}
	h.format.PutSeeded(batch, j, seed, d.c0)
	return nil
}

// reduce writes v modulo q; small says that every magnitude is below q.
func reduce(dst []uint64, v []int64, q uint64, small bool) {
	if small {
		for i, x := range v {
			dst[i] = residue(x, q)
		}
		return
	}
	for i, x := range v {
		dst[i] = residue(x%int64(q), q)
	}
}

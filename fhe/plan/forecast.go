package plan

import (
	"fmt"
	"time"

	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/params"
)

// Cost of a run in units of one number-theoretic transform of one limb,
// measured here for ciphertexts of one and two limbs: every other step is a
// pass over the same coefficients, so the ratio moves little between machines.
const (
	costEncrypt  = 4.0 // per feature, limb and batch
	costEvaluate = 1.5 // per feature, limb and batch
	costBatch    = 8.0 // per batch: canaries, decryption, rescaling
)

func forecast(f *codec.Format, core fhe.Core, opt Options) (fhe.Forecast, error) {
	each := core.BatchRows() - opt.Canaries
	if each < 1 {
		return fhe.Forecast{}, fmt.Errorf("%w: %d canaries leave no room for rows in a batch of %d", fhe.ErrRange, opt.Canaries, core.BatchRows())
	}
	plan, _, err := codec.EncodeCore(core)
	if err != nil {
		return fhe.Forecast{}, err
	}
	batches := (opt.Rows + each - 1) / each
	limbs := float64(len(core.Params.Q))
	units := float64(core.Features)*limbs*(costEncrypt+costEvaluate) + costBatch
	return fhe.Forecast{
		Rows: opt.Rows, Canaries: opt.Canaries, Batches: batches,
		LogQP: params.LogQP(core.Params), LogQPBound: params.Bound(core.Params.LogN), BoundSource: params.Source,
		BytesUp:   int64(batches)*int64(f.BatchSize()) + int64(f.ModelSize()) + int64(len(plan)),
		BytesDown: int64(batches) * int64(f.ResultSize()),
		Seconds:   float64(batches) * units * transform(f).Seconds() / float64(opt.Workers),
	}, nil
}

// transform times one limb's transform: the best of a few, under a millisecond.
func transform(f *codec.Format) time.Duration {
	sub := f.Ring.SubRings[0]
	p := make([]uint64, f.Core.Params.N())
	best := time.Duration(1<<63 - 1)
	for range 8 {
		start := time.Now()
		sub.NTT(p, p)
		best = min(best, time.Since(start))
	}
	return best
}

package demo

import (
	"context"
	"fmt"
	"runtime"

	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/job"
)

// What the cheating node does: it makes the weight of one feature larger by a
// quarter.
const (
	cheatFeature = 0
	cheatFactor  = 1.25
)

// change multiplies a weight, given as residues modulo the primes q.
func change(w, q []uint64) {
	v := int64(w[0])
	if w[0] > q[0]/2 {
		v -= int64(q[0])
	}
	v += v / 4
	for i := range w {
		p := int64(q[i])
		w[i] = uint64((v%p + p) % p)
	}
}

// Cheat is the runner of the cheating node. It evaluates a model with one
// changed weight and signs the result as if it were the model it was asked to
// use.
type Cheat struct{}

// Run computes with the changed model and says that it used the right one.
func (Cheat) Run(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
	asked := j
	raw, err := in.Get(ctx, j.Plan, codec.MaxCore)
	if err != nil {
		return job.Result{}, err
	}
	core, err := codec.DecodeCore(raw)
	if err != nil {
		return job.Result{}, err
	}
	f, err := codec.New(core)
	if err != nil {
		return job.Result{}, err
	}
	model, err := in.Get(ctx, j.Model, codec.MaxModel)
	if err != nil {
		return job.Result{}, err
	}
	m, err := f.DecodeModel(model)
	if err != nil {
		return job.Result{}, err
	}
	change(m.Weights[cheatFeature], core.Params.Q)
	if model, err = f.EncodeModel(m); err != nil {
		return job.Result{}, err
	}
	if core.Model, err = in.Put(ctx, model); err != nil {
		return job.Result{}, err
	}
	if raw, _, err = codec.EncodeCore(core); err != nil {
		return job.Result{}, err
	}
	j.Model = core.Model
	if j.Plan, err = in.Put(ctx, raw); err != nil {
		return job.Result{}, err
	}
	r, err := circuit.Runner{Workers: runtime.GOMAXPROCS(0)}.Run(ctx, j, in, p)
	if err != nil {
		return job.Result{}, fmt.Errorf("cheat: %w", err)
	}
	r.Plan, r.Model = asked.Plan, asked.Model
	return r, nil
}

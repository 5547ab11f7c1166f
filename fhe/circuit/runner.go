package circuit

import (
	"context"
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/job"
	"cipherdeck/fhe/parallel"
)

// Engine is what results say they were computed with.
const Engine = "cipherdeck/circuit/1 lattigo/5.0.7"

// MaxBatches bounds one job; more rows are more jobs.
const MaxBatches = 1 << 16

// maxBatchSet is room for MaxBatches names in CBOR.
const maxBatchSet = 64 + 34*MaxBatches

// Runner evaluates jobs in this process: the weakest isolation, named as such
// in its results. It keeps at most Workers batches in memory. Whether a job is
// signed, granted and still in time is checked by whoever hands it over.
type Runner struct {
	Workers int // batches at once; default 1
}

var _ job.Runner = Runner{}

// Run fetches what the job names, evaluates every batch and stores the
// results. Nothing is stored for a job that it refuses: errors wrap
// fhe.ErrMalformed, fhe.ErrInsecure, fhe.ErrUnsupported, those of in, or of ctx.
func (r Runner) Run(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
	start := time.Now()
	if p == nil {
		p = progress.Discard{}
	}
	if j.MinIsolation > job.IsolationProcess {
		return job.Result{}, fmt.Errorf("%w: job wants isolation level %d, this runner gives %d", fhe.ErrUnsupported, j.MinIsolation, job.IsolationProcess)
	}
	p.Phase("load", 0, progress.None)
	c, err := load(ctx, j, in)
	if err != nil {
		return job.Result{}, err
	}
	inputs, err := batches(ctx, j.Inputs, in)
	if err != nil {
		return job.Result{}, err
	}
	outputs, err := r.evaluate(ctx, c, inputs, in, p)
	if err != nil {
		return job.Result{}, err
	}
	return job.Result{
		V: 1, Plan: j.Plan, Model: j.Model, Inputs: j.Inputs, Outputs: outputs,
		Isolation: job.IsolationProcess, Engine: Engine, Millis: time.Since(start).Milliseconds(),
	}, nil
}

func load(ctx context.Context, j job.JobDoc, in job.Blobs) (*Circuit, error) {
	if j.V != 1 || !j.Keys.IsZero() {
		return nil, fmt.Errorf("%w: job version %d, keys %s; want 1 and none: a linear model uses no evaluation keys",
			fhe.ErrUnsupported, j.V, j.Keys.Short())
	}
	raw, err := in.Get(ctx, j.Plan, codec.MaxCore)
	if err != nil {
		return nil, fmt.Errorf("fetch plan: %w", err)
	}
	core, err := codec.DecodeCore(raw)
	if err != nil {
		return nil, err
	}
	if core.Model != j.Model {
		return nil, fmt.Errorf("%w: job names model %s, its plan %s", fhe.ErrMalformed, j.Model, core.Model)
	}
	model, err := in.Get(ctx, j.Model, codec.MaxModel)
	if err != nil {
		return nil, fmt.Errorf("fetch model: %w", err)
	}
	return Load(core, model)
}

func batches(ctx context.Context, name id.ID, in job.Blobs) ([]id.ID, error) {
	raw, err := in.Get(ctx, name, maxBatchSet)
	if err != nil {
		return nil, fmt.Errorf("fetch inputs: %w", err)
	}
	var set job.BatchSet
	if err := doc.Decode(raw, &set); err != nil {
		return nil, fmt.Errorf("%w: inputs: %v", fhe.ErrMalformed, err)
	}
	if set.V != 1 || len(set.Batches) == 0 || len(set.Batches) > MaxBatches {
		return nil, fmt.Errorf("%w: inputs: version %d with %d batches, want 1 with 1 to %d", fhe.ErrMalformed, set.V, len(set.Batches), MaxBatches)
	}
	return set.Batches, nil
}

func (r Runner) evaluate(ctx context.Context, c *Circuit, inputs []id.ID, in job.Blobs, p progress.Sink) (id.ID, error) {
	out := job.BatchSet{V: 1, Batches: make([]id.ID, len(inputs))}
	p.Phase("evaluate", int64(len(inputs)), progress.Items)
	err := parallel.Each(ctx, r.Workers, len(inputs), func(ctx context.Context, i int) error {
		batch, err := in.Get(ctx, inputs[i], int64(c.format.BatchSize()))
		if err != nil {
			return fmt.Errorf("fetch batch %d: %w", i, err)
		}
		result, err := c.Evaluate(ctx, batch)
		if err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
		if out.Batches[i], err = in.Put(ctx, result); err != nil {
			return fmt.Errorf("store result %d: %w", i, err)
		}
		p.Add(1)
		return nil
	})
	if err != nil {
		return id.ID{}, err
	}
	raw, err := doc.Encode(out)
	if err != nil {
		return id.ID{}, fmt.Errorf("encode outputs: %w", err)
	}
	return in.Put(ctx, raw)
}

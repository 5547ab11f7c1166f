package app

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"

	"cipherdeck/attest/grant"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/holder"
	"cipherdeck/fhe/job"
	"cipherdeck/fhe/score"
	"cipherdeck/vault/project"
)

// Where says who computes.
type Where struct {
	Here   bool           // on this machine: nothing is sent
	Server string         // else: through this pinned server
	Node   *chain.Account // by this node
	Grants []chain.Grant  // under one of these, as At orders them

	grant chain.Grant // the one of them that a job names
}

// Outcome is what a run gave and what it took.
type Outcome struct {
	Job        id.ID   `json:"job"`
	Node       string  `json:"node"`         // "here" or the node's uid
	Verdict    string  `json:"node_verdict"` // on the node, just before; NotAttested, or "" here
	Subject    string  `json:"node_subject"` // which machine the verdict is about
	First      bool    `json:"node_first"`   // it is the first one on this node here
	Rows       int     `json:"rows"`
	Replicated bool    `json:"replicated"`
	Attempts   int     `json:"attempts"` // leases the job took
	AUC        float64 `json:"auc_encrypted"`
	AUCClear   float64 `json:"auc_clear"`
	BaseRate   float64 `json:"base_rate"`
	HasTruth   bool    `json:"has_truth"`
	MaxError   float64 `json:"max_error"`   // of a logit, against the clear model
	ErrorBound float64 `json:"error_bound"` // promised by the plan
	Canaries   int     `json:"canaries"`    // checked, in all batches
	Caught     Caught  `json:"detection"`   // what the canaries of one batch would catch
	BytesUp    int64   `json:"bytes_up"`
	BytesDown  int64   `json:"bytes_down"`
	Seconds    Times   `json:"seconds"`
	RowsPerSec float64 `json:"rows_per_second"` // encrypt to scores, end to end
	Engine     string  `json:"engine"`
	Proven     bool    `json:"proven"` // by the node's TPM key, which opens in the state that was granted only

	Scores []float64 `json:"-"` // probabilities, in the order of the rows
}

// Caught is the probability that at least one canary of a batch is hit when a
// node answers a share of its rows wrongly.
type Caught struct {
	One    float64 `json:"one_percent"`
	Five   float64 `json:"five_percent"`
	Twenty float64 `json:"twenty_percent"`
	All    float64 `json:"all"` // another model: every row
}

// Times is where the time of a run went.
type Times struct {
	Encrypt float64 `json:"encrypt_and_upload"`
	Compute float64 `json:"queue_and_compute"`
	Decrypt float64 `json:"download_and_decrypt"`
	Total   float64 `json:"total"`
}

// Run encrypts the rows of w, has them scored, checks the answer and decrypts
// it. The error wraps fhe.ErrCanary when the answer is wrong, and then nothing
// of it is returned but the figures of the attempt.
func (a *App) Run(ctx context.Context, p *project.Project, w *Work, at Where, sink progress.Sink) (*Outcome, error) {
	rec := a.board.begin(RunRecord{Project: p.Name(), Spec: w.Spec, Plan: w.Plan, Started: a.Now()}, sink)
	out, err := a.score(ctx, p, w, at, a.proveNode, rec)
	rec.end(out, err, a.Now())
	return out, err
}

// prover makes the node of a job prove itself, and picks the grant for the job.
type prover func(ctx context.Context, p *project.Project, at Where, model id.ID, out *Outcome) (chain.Grant, error)

func (a *App) score(ctx context.Context, p *project.Project, w *Work, at Where, prove prover, sink progress.Sink) (*Outcome, error) {
	h, err := holder.New(w.Plan)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	out := &Outcome{Rows: w.Rows(), Replicated: w.Replicated, ErrorBound: w.Plan.Forecast.MaxError, Caught: detection(w.Plan.Forecast.Canaries)}
	blobs, compute, err := a.place(ctx, p, at, sink)
	if err != nil {
		return nil, err
	}
	if !at.Here {
		if at.grant, err = prove(ctx, p, at, w.Plan.Core.Model, out); err != nil {
			return out, err
		}
	}
	count := &counted{Blobs: blobs}
	defer func() {
		if !at.Here { // nothing leaves this machine
			out.BytesUp, out.BytesDown = count.up.Load(), count.down.Load()
		}
	}()
	r := run{a: a, w: w, h: h, out: out, blobs: count, sink: sink}
	defer clear(r.key[:])
	start := a.Now()
	j, sets, err := r.send(ctx, p.ID(), at)
	if err != nil {
		return out, err
	}
	sent := a.Now()
	res, err := compute(ctx, j, out)
	if err != nil {
		return out, err
	}
	if err := r.proven(at, res); err != nil {
		return out, err
	}
	done := a.Now()
	logits, err := r.receive(ctx, res, sets)
	end := a.Now()
	out.Seconds = Times{sent.Sub(start).Seconds(), done.Sub(sent).Seconds(), end.Sub(done).Seconds(), end.Sub(start).Seconds()}
	if err != nil {
		return out, err
	}
	out.RowsPerSec = float64(out.Rows) / max(out.Seconds.Total, 1e-9)
	out.Engine = res.Engine
	return out, r.judge(logits)
}

// run is one run under way.
type run struct {
	a     *App
	w     *Work
	h     *holder.Holder
	out   *Outcome
	blobs job.Blobs
	sink  progress.Sink
	key   [grant.KeySize]byte // of this job, where the grant is for a machine's key
}

// send encrypts and uploads everything that the job names.
func (r *run) send(ctx context.Context, pid id.ID, at Where) (job.JobDoc, []*holder.CanarySet, error) {
	j := job.JobDoc{V: 1, Project: pid, Grant: at.grant.ID, MinIsolation: job.IsolationProcess, NotAfter: r.a.Now().Add(time.Hour).Unix()}
	rand.Read(j.Nonce[:])
	core, _, err := codec.EncodeCore(r.w.Plan.Core)
	if err != nil {
		return j, nil, err
	}
	if j.Plan, err = r.blobs.Put(ctx, core); err != nil {
		return j, nil, err
	}
	if j.Model, err = r.blobs.Put(ctx, r.w.model); err != nil {
		return j, nil, err
	}
	r.sink.Phase("encrypt and send", int64(r.w.Rows()), progress.Rows)
	opt := holder.Run{Workers: runtime.GOMAXPROCS(0), Progress: r.sink}
	names, sets, err := r.h.EncryptAll(ctx, r.w.rows, r.w.affine, r.w.Plan.Forecast.Canaries, opt, r.blobs.Put)
	if err != nil {
		return j, nil, err
	}
	for _, s := range sets {
		r.out.Canaries += len(s.At)
	}
	set, err := doc.Encode(job.BatchSet{V: 1, Batches: names})
	if err != nil {
		return j, nil, err
	}
	if j.Inputs, err = r.blobs.Put(ctx, set); err != nil || len(at.grant.Key) == 0 {
		return j, sets, err
	}
	rand.Read(r.key[:])
	j.Release, err = grant.Seal(at.grant.Key, j.Terms(), r.key)
	return j, sets, err
}

// proven asks for the proof of a result, where the grant is for a machine's key.
func (r *run) proven(at Where, res job.Result) error {
	if len(at.grant.Key) == 0 {
		return nil
	}
	err := job.CheckProof(res, r.key)
	r.out.Proven = err == nil
	return err
}

// receive fetches the outputs of a result and decrypts them, canaries first.
func (r *run) receive(ctx context.Context, res job.Result, sets []*holder.CanarySet) ([]float64, error) {
	const maxSet = 4 << 20
	raw, err := r.blobs.Get(ctx, res.Outputs, maxSet)
	if err != nil {
		return nil, err
	}
	var outs job.BatchSet
	if err := doc.Decode(raw, &outs); err != nil {
		return nil, fmt.Errorf("%w: list of outputs: %w", ErrRejected, err)
	}
	if len(outs.Batches) != len(sets) {
		return nil, fmt.Errorf("%w: %d batches came back, %d were sent", ErrRejected, len(outs.Batches), len(sets))
	}
	r.sink.Phase("fetch and decrypt", int64(r.w.Rows()), progress.Rows)
	opt := holder.Run{Workers: runtime.GOMAXPROCS(0), Progress: r.sink}
	return r.h.DecryptAll(ctx, outs.Batches, sets, opt, func(ctx context.Context, i id.ID) ([]byte, error) {
		return r.blobs.Get(ctx, i, r.h.ResultSize())
	})
}

// judge holds the logits against the clear model and scores both.
func (r *run) judge(logits []float64) error {
	clear, err := r.w.graph.Logits(r.w.rows)
	if err != nil {
		return err
	}
	if len(clear) != len(logits) {
		return fmt.Errorf("%w: %d rows came back, %d were sent", ErrRejected, len(logits), len(clear))
	}
	worst := 0.0
	for i := range clear {
		worst = max(worst, math.Abs(clear[i]-logits[i]))
	}
	r.out.MaxError = twoDigits(worst) // more would be a sample of the key's noise
	if !(worst <= r.out.ErrorBound) {
		return fmt.Errorf("%w: a logit is off by %.3g, the plan promised %.3g", ErrRejected, r.out.MaxError, r.out.ErrorBound)
	}
	r.out.Scores = final(r.w.Plan.Core.Final, logits)
	if r.w.truth == nil {
		return nil
	}
	r.out.HasTruth = true
	if r.out.AUC, err = score.AUC(r.out.Scores, r.w.truth); err != nil {
		return err
	}
	if r.out.AUCClear, err = score.AUC(final(r.w.Plan.Core.Final, clear), r.w.truth); err != nil {
		return err
	}
	r.out.BaseRate = score.BaseRate(r.w.truth)
	return nil
}

// twoDigits rounds x up to two significant digits.
func twoDigits(x float64) float64 {
	if x <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Ceil(x/unit) * unit
}

// final applies the last step in clear.
func final(f fhe.Final, logits []float64) []float64 {
	out := make([]float64, len(logits))
	for i, x := range logits {
		out[i] = x
		if f == fhe.FinalSigmoid {
			out[i] = 1 / (1 + math.Exp(-x))
		}
	}
	return out
}

func detection(canaries int) Caught {
	p := func(f float64) float64 { return holder.DetectionProbability(f, canaries) }
	return Caught{p(0.01), p(0.05), p(0.2), p(1)}
}

// WriteScores writes the scores of a run to a new CSV file, rounded: raw
// decrypted values tell more about the key than they should (IND-CPA-D).
func WriteScores(path string, o *Outcome) error {
	logprec, err := holder.ReleasePrecision(o.ErrorBound)
	if err != nil {
		return err
	}
	return seal.WriteFile(path, false, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		fmt.Fprintln(b, "score")
		for _, s := range holder.Round(o.Scores, logprec) {
			fmt.Fprintln(b, s)
		}
		return b.Flush()
	})
}

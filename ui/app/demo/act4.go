package demo

import (
	"context"
	"fmt"
	"time"

	"cipherdeck/assets"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/ui/app"
)

// speedRows is how many replicated rows the measure of speed takes at least.
const speedRows = 40000

// actScore plans a run, shows what it will cost, and has the held-out rows
// scored by the node; then more rows, to measure speed.
func actScore(ctx context.Context, s *Stage, t *teller, sink progress.Sink) error {
	w, err := s.planRun(ctx, 0, sink)
	if err != nil {
		return err
	}
	planLines(t, w.Plan)
	at, err := s.grantNode(ctx, t)
	if err != nil {
		return err
	}
	out, err := s.Alice.Run(ctx, s.project, w, at, sink)
	if err != nil {
		return err
	}
	if err := scored(t, out); err != nil {
		return err
	}
	return s.measureSpeed(ctx, t, at, sink)
}

// planRun plans to score the held-out rows, repeated until there are least.
func (s *Stage) planRun(ctx context.Context, least int, sink progress.Sink) (*app.Work, error) {
	held, err := assets.HeldOut()
	if err != nil {
		return nil, err
	}
	return s.Alice.Plan(ctx, s.project, app.RunSpec{Model: modelName, Data: dataName, Label: labelName, Rows: held, AtLeast: least}, sink)
}

func planLines(t *teller, p *fhe.Plan) {
	f, c := p.Forecast, p.Core
	t.say(Info, "plan: CKKS, ring degree 2^%d, log2 Q %.0f of at most %.0f bits for 128-bit security (%s)", c.Params.LogN, f.LogQP, f.LogQPBound, f.BoundSource)
	t.say(Info, "plan: levels %d, rows %d, batches %d of %d rows with at least %d canaries, sigmoid on this side", c.Levels, f.Rows, f.Batches, c.BatchRows(), f.Canaries)
	t.say(Info, "plan: %.2f MB up, %.2f MB down, evaluation keys %d B, about %.0f ms of arithmetic, logit error at most %.1e", float64(f.BytesUp)/1e6, float64(f.BytesDown)/1e6, f.KeyBytes, 1000*f.Seconds, f.MaxError)
	t.figure("plan", p.Forecast)
	t.figure("log_n", c.Params.LogN)
	t.figure("levels", c.Levels)
}

func (s *Stage) grantNode(ctx context.Context, t *teller) (app.Where, error) {
	uid, err := chain.ParseUID(s.nodeUID)
	if err != nil {
		return app.Where{}, err
	}
	if _, err := s.Alice.GrantNode(ctx, s.project, uid, time.Hour); err != nil {
		return app.Where{}, err
	}
	t.say(Info, "node %s granted for an hour: it and the server see ciphertext, model and plan; no key", uid.Short())
	return s.Alice.At(s.project, uid)
}

func scored(t *teller, o *app.Outcome) error {
	t.figure("auc_encrypted", o.AUC)
	t.figure("auc_clear", o.AUCClear)
	t.figure("base_rate", o.BaseRate)
	t.figure("max_error", o.MaxError)
	t.figure("error_bound", o.ErrorBound)
	t.figure("rows_scored", o.Rows)
	t.figure("bytes_up", o.BytesUp)
	t.figure("bytes_down", o.BytesDown)
	same := fmt.Sprintf("%.4f", o.AUC) == fmt.Sprintf("%.4f", o.AUCClear)
	if err := t.must(o.HasTruth && same, "%d held-out rows: AUC encrypted %.4f = AUC clear %.4f, beside a base rate of %.4f", o.Rows, o.AUC, o.AUCClear, o.BaseRate); err != nil {
		return err
	}
	if err := t.must(o.MaxError <= o.ErrorBound, "largest error of a logit %.1e, promised at most %.1e", o.MaxError, o.ErrorBound); err != nil {
		return err
	}
	t.say(Good, "%d canaries came back right (empty places carry some too); sent %.2f MB, received %.2f MB", o.Canaries, float64(o.BytesUp)/1e6, float64(o.BytesDown)/1e6)
	return nil
}

func (s *Stage) measureSpeed(ctx context.Context, t *teller, at app.Where, sink progress.Sink) error {
	w, err := s.planRun(ctx, speedRows, sink)
	if err != nil {
		return err
	}
	o, err := s.Alice.Run(ctx, s.project, w, at, sink)
	if err != nil {
		return err
	}
	t.figure("replicated_rows", o.Rows)
	t.figure("rows_per_second", o.RowsPerSec)
	t.figure("seconds", o.Seconds)
	if err := t.must(o.Replicated && o.Rows >= speedRows, "%d rows (replicated) in %.2f s: %.0f rows/s from clear rows to scores, by way of the server", o.Rows, o.Seconds.Total, o.RowsPerSec); err != nil {
		return err
	}
	t.say(Info, "encrypt and upload %.2f s, queue and compute %.2f s, download and decrypt %.2f s", o.Seconds.Encrypt, o.Seconds.Compute, o.Seconds.Decrypt)
	return nil
}

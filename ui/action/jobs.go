package action

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/ui/app"
	"cipherdeck/vault/dataset"
)

func jobActions() []*Action {
	label := Arg{Name: "label", Flag: "label", Help: "column with the truth, 0 or 1: gives AUC beside the base rate"}
	rows := Arg{Name: "rows", Flag: "rows", Help: "JSON file with a list of row indexes; default: all rows"}
	least := Arg{Name: "at-least", Flag: "at-least", Help: "repeat the rows until there are this many, to measure speed"}
	canaries := Arg{Name: "canaries", Flag: "canaries", Help: "known rows hidden in every batch"}
	return []*Action{
		{ID: "plan", Title: "Show what a blind run would cost and reach", Keys: []string{"p"}, Screen: "jobs",
			Help: "Reads a model (ONNX) and a dataset (CSV) from files. Nothing is encrypted or sent.",
			Args: []Arg{{Name: "model", Help: "ONNX file", Need: true}, {Name: "data", Help: "CSV file", Need: true}, label, rows, least, canaries},
			Run:  runPlan},
		{ID: "run", Title: "Score rows blind", Keys: []string{"r"}, Screen: "jobs", Vault: true,
			Help: "Takes a model and a dataset of a project, encrypts the rows here, has them scored here (--here) or by a granted node, checks the hidden canaries, decrypts, and applies the last non-linear step here. Before anything is sent to a server it must attest. So must the node, when it is granted for a key of its TPM (grant --attested) or was attested from here before; a node that was changed, restarted or suspended gets nothing, with exit code 4. Exit code 8 when the answer is rejected.",
			Args: []Arg{projectArg(), {Name: "model", Flag: "model", Help: "name of the model item", Need: true}, {Name: "data", Flag: "data", Help: "name of the dataset item", Need: true},
				{Name: "node", Flag: "node", Help: "user id of a granted node"}, {Name: "here", Flag: "here", Switch: true, Help: "compute on this machine; nothing is sent"},
				label, rows, least, canaries, {Name: "scores", Flag: "scores", Help: "write rounded scores to this file"}},
			Can: needsProject, Run: runRun},
	}
}

func spec(args Args) (app.RunSpec, error) {
	s := app.RunSpec{Model: args.Get("model"), Data: args.Get("data"), Label: args.Get("label")}
	for name, to := range map[string]*int{"at-least": &s.AtLeast, "canaries": &s.Canaries} {
		if v := args.Get(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return s, fmt.Errorf("%w: --%s %q is not a number from 1", app.ErrInput, name, v)
			}
			*to = n
		}
	}
	if path := args.Get("rows"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return s, err
		}
		if err := json.Unmarshal(raw, &s.Rows); err != nil {
			return s, fmt.Errorf("%w: %s: want a JSON list of row numbers, counted from 0: %v", app.ErrInput, path, err)
		}
	}
	return s, nil
}

func runPlan(_ context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	s, err := spec(args)
	if err != nil {
		return Result{}, err
	}
	model, err := os.ReadFile(s.Model)
	if err != nil {
		return Result{}, err
	}
	data, err := os.ReadFile(s.Data)
	if err != nil {
		return Result{}, err
	}
	t, err := dataset.ReadCSV(s.Data, bytes.NewReader(data))
	if err != nil {
		return Result{}, err
	}
	w, err := app.PlanFiles(s, model, t)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: w.Plan, Text: PlanLines(w.Plan)}, nil
}

// PlanLines is a plan for a person.
func PlanLines(p *fhe.Plan) []string {
	f, c := p.Forecast, p.Core
	return []string{
		fmt.Sprintf("CKKS  ring degree 2^%d, log2 Q = %.1f bits; 128-bit bound %.0f (%s)", c.Params.LogN, f.LogQP, f.LogQPBound, f.BoundSource),
		fmt.Sprintf("model %d features, %d level(s) used, last step %s on your side", c.Features, c.Levels, c.Final),
		fmt.Sprintf("rows  %d, batches %d of %d rows, at least %d canaries in each", f.Rows, f.Batches, c.BatchRows(), f.Canaries),
		fmt.Sprintf("send  %d bytes up, %d down, evaluation keys %d", f.BytesUp, f.BytesDown, f.KeyBytes),
		fmt.Sprintf("time  about %.0f ms of arithmetic here, sending and waiting not counted; error of a logit at most %.2g", 1000*f.Seconds, f.MaxError),
		"leaks node and server learn the model, the plan and how many batches; of the rows nothing",
	}
}

func runRun(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	s, err := spec(args)
	if err != nil {
		return Result{}, err
	}
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	w, err := a.Plan(ctx, p, s, sink)
	if err != nil {
		return Result{}, err
	}
	at := app.Where{Here: args.Has("here")}
	if !at.Here {
		uid, err := chain.ParseUID(args.Get("node"))
		if err != nil {
			return Result{}, fmt.Errorf("%w: say --here, or --node UID", app.ErrInput)
		}
		if at, err = a.At(p, uid); err != nil {
			return Result{}, err
		}
	}
	out, err := a.Run(ctx, p, w, at, sink)
	if err != nil {
		return Result{Data: out}, err
	}
	r := Result{Data: out, Text: OutcomeLines(out)}
	if path := args.Get("scores"); path != "" {
		return r, app.WriteScores(path, out)
	}
	return r, nil
}

// OutcomeLines is the outcome of a run for a person.
func OutcomeLines(o *app.Outcome) []string {
	rows := strconv.Itoa(o.Rows) + " rows"
	if o.Replicated {
		rows += " (replicated)"
	}
	out := []string{fmt.Sprintf("%s scored in %.2f s: %.0f rows/s from clear rows to scores", rows, o.Seconds.Total, o.RowsPerSec)}
	if o.HasTruth {
		out = append(out, fmt.Sprintf("AUC encrypted %.4f, in clear %.4f, base rate %.4f", o.AUC, o.AUCClear, o.BaseRate))
	}
	switch o.Verdict {
	case "":
	case app.NotAttested:
		out = append(out, "the node was not attested: who runs it is not known; it saw ciphertext only")
	default:
		out = append(out, o.Subject+" proved what it runs just before: "+o.Verdict)
		out = append(out, firstSeen(o.First)...)
	}
	if o.Proven {
		out = append(out, "proven by the key in the node's TPM, which opens in the state that was granted only, and until its next restart")
	}
	return append(out,
		fmt.Sprintf("largest error of a logit %.2g, promised %.2g", o.MaxError, o.ErrorBound),
		fmt.Sprintf("%d canaries came back right; a node that alters 1 %% / 5 %% / 20 %% of a batch is caught with probability %.2f / %.2f / %.4f", o.Canaries, o.Caught.One, o.Caught.Five, o.Caught.Twenty),
	)
}

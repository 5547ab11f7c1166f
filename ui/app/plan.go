package app

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"

	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/fhe/graph"
	"cipherdeck/fhe/onnx"
	"cipherdeck/fhe/plan"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/project"
)

// maxModel bounds a model file, in bytes.
const maxModel = 64 << 20

// RunSpec says what is to be scored, and by which model.
type RunSpec struct {
	Model    string // name of the project's model item
	Data     string // name of the project's dataset item
	Label    string // column with the truth, 0 or 1; "" when there is none
	Rows     []int  // which rows; nil means all
	AtLeast  int    // repeat the rows until there are this many, for a measure of speed
	Canaries int    // known rows in every batch; 0 means the default
}

// Work is a planned run: what it will cost and reach, before anything is sent.
type Work struct {
	Spec       RunSpec
	Plan       *fhe.Plan
	Replicated bool // rows were repeated to measure speed

	model  []byte // encoded, as the node receives it
	graph  *graph.Graph
	affine fhe.Affine
	rows   [][]float64
	truth  []bool
}

// Rows is how many rows are scored.
func (w *Work) Rows() int { return len(w.rows) }

// Weight is the weight of feature j, in units of the raw feature.
func (w *Work) Weight(j int) float64 { return w.affine.Weights[j] }

// LeastShift is how far the logit of the least affected row moves when the
// weight of feature j changes by a share of itself.
func (w *Work) LeastShift(j int, share float64) float64 {
	least := math.Inf(1)
	for _, r := range w.rows {
		least = min(least, math.Abs(w.affine.Weights[j]*share*r[j]))
	}
	return least
}

// Plan reads the model and the rows of a project and plans a run.
func (a *App) Plan(ctx context.Context, p *project.Project, spec RunSpec, sink progress.Sink) (*Work, error) {
	model, err := readItem(ctx, p, spec.Model, maxModel, sink)
	if err != nil {
		return nil, err
	}
	data, err := readItem(ctx, p, spec.Data, math.MaxInt64, sink)
	if err != nil {
		return nil, err
	}
	t, err := dataset.ReadCSV(spec.Data, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return makeWork(spec, model, t)
}

// PlanFiles plans a run of files that are in no project yet, to see what it
// would cost.
func PlanFiles(spec RunSpec, model []byte, t *dataset.Table) (*Work, error) {
	return makeWork(spec, model, t)
}

func readItem(ctx context.Context, p *project.Project, name string, max int64, sink progress.Sink) ([]byte, error) {
	it, err := p.Item(name)
	if err != nil {
		return nil, err
	}
	if it.Size > max {
		return nil, fmt.Errorf("%w: item %q has %d bytes, limit %d", ErrInput, name, it.Size, max)
	}
	var b bytes.Buffer
	err = p.Read(ctx, it, &b, sink)
	return b.Bytes(), err
}

func makeWork(spec RunSpec, model []byte, t *dataset.Table) (*Work, error) {
	w := &Work{Spec: spec}
	m, err := onnx.Read(model)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", spec.Model, err)
	}
	if w.graph, err = graph.Build(m); err != nil {
		return nil, fmt.Errorf("model %s: %w", spec.Model, err)
	}
	aff, final, err := w.graph.Affine()
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", spec.Model, err)
	}
	w.affine = aff
	if spec.Label != "" {
		rest, label, err := t.Split(spec.Label)
		if err != nil {
			return nil, err
		}
		if w.truth, err = zeroOrOne(spec.Label, label); err != nil {
			return nil, err
		}
		t = rest
	}
	if len(t.Columns) != len(aff.Weights) {
		return nil, fmt.Errorf("%w: %s has %d feature columns, model %s wants %d; name the column with the truth by --label, and drop others", ErrInput, spec.Data, len(t.Columns), spec.Model, len(aff.Weights))
	}
	if err := w.choose(t); err != nil {
		return nil, err
	}
	w.Plan, w.model, err = plan.Make(aff, final, t.Rows, plan.Options{Rows: len(w.rows), Canaries: spec.Canaries, Workers: runtime.GOMAXPROCS(0)})
	return w, err
}

// choose picks the rows to score, and repeats them when asked to.
func (w *Work) choose(t *dataset.Table) error {
	w.rows = t.Rows
	if w.Spec.Rows != nil {
		some, err := t.Pick(w.Spec.Rows)
		if err != nil {
			return err
		}
		w.rows = some.Rows
		if w.truth != nil {
			truth := make([]bool, 0, len(w.Spec.Rows))
			for _, i := range w.Spec.Rows {
				truth = append(truth, w.truth[i])
			}
			w.truth = truth
		}
	}
	if len(w.rows) == 0 {
		return fmt.Errorf("%w: no rows to score in %s", ErrInput, w.Spec.Data)
	}
	once, truth := w.rows, w.truth
	for len(w.rows) < w.Spec.AtLeast {
		w.Replicated = true
		w.rows = append(w.rows[:len(w.rows):len(w.rows)], once...)
		if truth != nil {
			w.truth = append(w.truth[:len(w.truth):len(w.truth)], truth...)
		}
	}
	return nil
}

// zeroOrOne reads a label column of 0 and 1.
func zeroOrOne(name string, values []float64) ([]bool, error) {
	out := make([]bool, len(values))
	for i, v := range values {
		if v != 0 && v != 1 {
			return nil, fmt.Errorf("%w: column %q row %d is %g; a label is 0 or 1", ErrInput, name, i+1, v)
		}
		out[i] = v == 1
	}
	return out, nil
}

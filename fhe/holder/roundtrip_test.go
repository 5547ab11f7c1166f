package holder_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"cipherdeck/fhe"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/holder"
	"cipherdeck/fhe/plan"
)

// world is one planned model with everything both sides need.
type world struct {
	aff   fhe.Affine
	plan  *fhe.Plan
	model []byte
	hold  *holder.Holder
	circ  *circuit.Circuit
}

// build plans a model on rows; the numbers are the same in every run.
func build(t testing.TB, aff fhe.Affine, rows [][]float64, opt plan.Options) *world {
	t.Helper()
	p, model, err := plan.Make(aff, fhe.FinalSigmoid, rows, opt)
	if err != nil {
		t.Fatal(err)
	}
	h, err := holder.New(p)
	if err != nil {
		t.Fatal(err)
	}
	c, err := circuit.Load(p.Core, model)
	if err != nil {
		t.Fatal(err)
	}
	return &world{aff, p, model, h, c}
}

// random makes n rows of features whose magnitudes differ by powers of ten,
// and a model whose logits on them span about [-span, span].
func random(n, features int, span float64) (fhe.Affine, [][]float64) {
	r := rand.New(rand.NewPCG(1, uint64(features)))
	aff := fhe.Affine{Bias: r.NormFloat64(), Weights: make([]float64, features)}
	size := make([]float64, features)
	for j := range size {
		size[j] = math.Pow(10, float64(j%7)-3)
		aff.Weights[j] = r.NormFloat64() * span / (4 * math.Sqrt(float64(features)) * size[j])
	}
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = make([]float64, features)
		for j := range rows[i] {
			rows[i][j] = size[j] * (0.3 + r.NormFloat64())
		}
	}
	return aff, rows
}

func clear64(aff fhe.Affine, row []float64) float64 {
	z := aff.Bias
	for j, x := range row {
		z += aff.Weights[j] * x
	}
	return z
}

func (w *world) score(t testing.TB, rows [][]float64, canaries int) ([]float64, error) {
	t.Helper()
	known, err := holder.Draw(w.aff, w.plan.Box, canaries)
	if err != nil {
		t.Fatal(err)
	}
	batch, set, err := w.hold.Encrypt(rows, known)
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.circ.Evaluate(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	return w.hold.Decrypt(out, set)
}

func TestEncryptedLogitsKeepTheBound(t *testing.T) {
	for _, c := range []struct {
		name     string
		features int
		span     float64
		want     float64 // wished error: tight ones need the second prime
	}{{"30 features", 30, 10, 1e-3}, {"wide span", 30, 50, 1e-3}, {"one feature", 1, 5, 1e-3},
		{"two primes", 30, 50, 1e-8}, {"200 features", 200, 25, 1e-2}} {
		t.Run(c.name, func(t *testing.T) {
			aff, rows := random(4000, c.features, c.span)
			w := build(t, aff, rows, plan.Options{MaxError: c.want})
			got, err := w.score(t, rows, 32)
			if err != nil {
				t.Fatal(err)
			}
			worst := 0.0
			for i := range rows {
				worst = max(worst, math.Abs(got[i]-clear64(aff, rows[i])))
			}
			bound := w.plan.Forecast.MaxError
			t.Logf("log_n %d, %d primes, logits %.1f…%.1f, bound %.3g, worst %.3g (%.1fx)", w.plan.Core.Params.LogN,
				len(w.plan.Core.Params.Q), w.plan.Forecast.ClearMinimum, w.plan.Forecast.ClearMaximum, bound, worst, bound/worst)
			if len(got) != len(rows) || worst > bound || bound > 100*worst {
				t.Fatalf("%d rows, worst error %g, bound %g", len(got), worst, bound)
			}
		})
	}
}

// The promise holds for every row of the box, above all at its corners.
func TestCornersOfTheBoxKeepTheBound(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, want := range []float64{1e-3, 1e-8} {
		aff, rows := random(100, 12, 25)
		for i := range rows { // far from zero: the centre of the box matters
			rows[i][3] += 2000 * 0.001
			rows[i][5] += 1e4
		}
		w := build(t, aff, rows, plan.Options{MaxError: want})
		corners := make([][]float64, 2000)
		for i := range corners {
			corners[i] = make([]float64, len(w.plan.Box))
			for j, b := range w.plan.Box {
				up := r.IntN(2) == 0
				if i < 2 { // the two corners with the largest and smallest logit
					up = (aff.Weights[j] > 0) == (i == 0)
				}
				corners[i][j] = b.Low
				if up {
					corners[i][j] = b.High
				}
			}
		}
		got, err := w.score(t, corners, 32)
		if err != nil {
			t.Fatal(err)
		}
		for i, z := range got {
			if e := math.Abs(z - clear64(aff, corners[i])); e > w.plan.Forecast.MaxError {
				t.Fatalf("corner %d, logit %.1f: error %g, bound %g", i, z, e, w.plan.Forecast.MaxError)
			}
		}
	}
}

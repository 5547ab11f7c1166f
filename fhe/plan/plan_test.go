package plan

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/params"
)

var small = fhe.Affine{Weights: []float64{2, -0.001, 30}, Bias: -1}

func rows() [][]float64 {
	return [][]float64{{-1, 500, 0.25}, {1, 4000, -0.5}, {0, 900, 0.125}}
}

func TestMakeIsReproducible(t *testing.T) {
	a, modelA, err := Make(small, fhe.FinalSigmoid, rows(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, modelB, err := Make(small, fhe.FinalSigmoid, rows(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	rawA, nameA, err := codec.EncodeCore(a.Core)
	if err != nil {
		t.Fatal(err)
	}
	rawB, nameB, err := codec.EncodeCore(b.Core)
	if err != nil || nameA != nameB || !bytes.Equal(rawA, rawB) || !bytes.Equal(modelA, modelB) {
		t.Error("two plans of one model differ", err)
	}
	if a.Core.Model != id.Of(modelA) {
		t.Error("the plan names another model")
	}
}

func TestCheapestParametersThatReachTheError(t *testing.T) {
	for _, c := range []struct {
		maxError float64
		primes   int
	}{{0, 1}, {1e-4, 1}, {1e-8, 2}} {
		p, _, err := Make(small, fhe.FinalSigmoid, rows(), Options{MaxError: c.maxError})
		if err != nil {
			t.Fatal(err)
		}
		if p.Core.Params.LogN != 12 || len(p.Core.Params.Q) != c.primes || p.Core.Levels != c.primes-1 || len(p.Core.Params.P) != 0 {
			t.Errorf("error %g: %+v", c.maxError, p.Core.Params)
		}
		f := p.Forecast
		if f.MaxError > (Options{MaxError: c.maxError}).withDefaults(1).MaxError || f.LogQP > f.LogQPBound || f.KeyBytes != 0 || f.Seconds <= 0 {
			t.Errorf("forecast %+v", f)
		}
	}
	if _, _, err := Make(small, fhe.FinalSigmoid, rows(), Options{MaxError: 1e-30}); !errors.Is(err, fhe.ErrUnsupported) {
		t.Error("an impossible error was promised:", err)
	}
}

func TestForecast(t *testing.T) {
	p, model, err := Make(small, fhe.FinalSigmoid, rows(), Options{Rows: 10000, Canaries: 96})
	if err != nil {
		t.Fatal(err)
	}
	f, err := codec.New(p.Core)
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := codec.EncodeCore(p.Core)
	if err != nil {
		t.Fatal(err)
	}
	got := p.Forecast
	if got.Batches != 3 || got.Rows != 10000 || got.Canaries != 96 || got.BytesDown != 3*int64(f.ResultSize()) ||
		got.BytesUp != 3*int64(f.BatchSize())+int64(len(model)+len(raw)) {
		t.Errorf("%+v", got)
	}
	// By hand: -2-0.5+7.5-1 = 4, 2-4-15-1 = -18, 0-0.9+3.75-1 = 1.85.
	if math.Abs(got.ClearMinimum+18) > 1e-12 || math.Abs(got.ClearMaximum-4) > 1e-12 {
		t.Errorf("clear logits %v…%v", got.ClearMinimum, got.ClearMaximum)
	}
	if _, _, err := Make(small, fhe.FinalSigmoid, rows(), Options{Canaries: 4096}); !errors.Is(err, fhe.ErrRange) {
		t.Error("canaries fill the batch:", err)
	}
}

func TestBoxIsTwiceTheCalibration(t *testing.T) {
	in := [][]float64{{0, 0, 5, -1}, {10, 0, 5, 3}}
	want := []fhe.Range{{Low: -5, High: 15}, {Low: -1, High: 1}, {Low: 0, High: 10}, {Low: -3, High: 5}}
	for j, r := range widen(span(in), 1) {
		if r != want[j] {
			t.Errorf("feature %d: %v, want %v", j, r, want[j])
		}
	}
}

// The integers stand for the weights: exactly known, with the bias making the
// error vanish at the centre of the box.
func TestQuantiseByHand(t *testing.T) {
	aff := fhe.Affine{Weights: []float64{0.3}, Bias: 1}
	p := fhe.Params{LogN: 12, Q: []uint64{562949953216513}, LogScale: 10}
	s := quantise(aff, []fhe.Range{{Low: 4, High: 8}}, p, []int8{6})
	// 0.3·2^(10-6) = 4.8 → 5, which stands for 0.3125; the bias takes (0.3-0.3125)·6 = -0.075: 0.925·1024 = 947.2.
	if s.weights[0].Int64() != 5 || s.bias.Int64() != 947 {
		t.Errorf("weight %d, bias %d", s.weights[0], s.bias)
	}
	noise := 9 * math.Sqrt(3.2*3.2+1.0/12) * 5 / 1024
	if want := noise + 0.0125*2 + 1.0/1024; math.Abs(s.bound-want) > 1e-12 {
		t.Errorf("bound %v, want %v", s.bound, want)
	}
	negative := quantise(fhe.Affine{Weights: []float64{-0.3}}, []fhe.Range{{Low: 0, High: 0}}, p, []int8{6})
	if got := negative.encoded().Weights[0][0]; got != p.Q[0]-5 {
		t.Errorf("residue of -5 is %d", got)
	}
}

func TestMakeRefuses(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name string
		aff  fhe.Affine
		rows [][]float64
		want error
		says string
	}{
		{"no features", fhe.Affine{}, rows(), fhe.ErrUnsupported, "0 features"},
		{"too many features", fhe.Affine{Weights: make([]float64, 4097)}, rows(), fhe.ErrUnsupported, "4097 features"},
		{"NaN weight", fhe.Affine{Weights: []float64{1, nan, 1}}, rows(), fhe.ErrRange, "weight 2"},
		{"infinite bias", fhe.Affine{Weights: []float64{1, 1, 1}, Bias: inf}, rows(), fhe.ErrRange, "weight 0"},
		{"one row", small, rows()[:1], fhe.ErrRange, "1 calibration rows"},
		{"short row", small, append(rows(), []float64{1}), fhe.ErrRange, "row 4 has 1 columns"},
		{"NaN row", small, append(rows(), []float64{1, 2, nan}), fhe.ErrRange, "row 4, column 3 is NaN"},
		{"infinite row", small, append(rows(), []float64{inf, 2, 3}), fhe.ErrRange, "row 4, column 1 is +Inf"},
		{"contributions too large", fhe.Affine{Weights: []float64{1e20, 1, 1}}, rows(), fhe.ErrUnsupported, "no parameters"},
	} {
		_, _, err := Make(c.aff, fhe.FinalNone, c.rows, Options{})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, _, err := Make(small, "softmax", rows(), Options{}); !errors.Is(err, fhe.ErrUnsupported) {
		t.Error(err)
	}
}

func TestGateRefusesWeakParameters(t *testing.T) {
	for _, p := range []fhe.Params{
		{LogN: 11, Q: []uint64{12289}},
		{LogN: 12, Q: []uint64{562949953216513, 562949952987137, 1 << 20}},
	} {
		if err := Gate(p); !errors.Is(err, fhe.ErrInsecure) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if err := Gate(fhe.Params{LogN: 12, Q: []uint64{562949953216513, 562949952987137}}); err != nil {
		t.Error(err)
	}
}

func TestOddModels(t *testing.T) {
	for name, aff := range map[string]fhe.Affine{
		"all zero":    {Weights: []float64{0, 0, 0}},
		"one zero":    {Weights: []float64{1, 0, 1}, Bias: 1},
		"tiny":        {Weights: []float64{1e-12, 1e-12, 1e-12}},
		"large bias":  {Weights: []float64{1, 1e-3, 1}, Bias: 1e6},
		"very uneven": {Weights: []float64{1e-9, 1e-3, 1e3}},
	} {
		p, _, err := Make(aff, fhe.FinalNone, rows(), Options{})
		if err != nil || !(p.Forecast.MaxError > 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoPlanThatCannotBeSent plans models whose batches a server takes, and
// does not take.
func TestNoPlanThatCannotBeSent(t *testing.T) {
	for _, n := range []int{600, 700, params.MaxFeatures} {
		aff := fhe.Affine{Weights: make([]float64, n)}
		rows := [][]float64{make([]float64, n), make([]float64, n)}
		for j := range n {
			aff.Weights[j], rows[1][j] = 1, 1
		}
		p, _, err := Make(aff, fhe.FinalNone, rows, Options{})
		if n > 667 {
			if !errors.Is(err, fhe.ErrUnsupported) || !strings.Contains(err.Error(), "fewer features") {
				t.Errorf("%d features: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := codec.New(p.Core)
		if err != nil || f.BatchSize() > params.MaxBatch || f.BatchSize() != len(f.NewBatch()) {
			t.Errorf("%d features: %v", n, err)
		}
	}
}

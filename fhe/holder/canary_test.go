package holder_test

import (
	"context"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/holder"
	"cipherdeck/fhe/plan"
)

// cheat loads the model with delta, in logit units a unit of feature j, added
// to one weight: what a dishonest node can do with the public packages.
func cheat(t testing.TB, w *world, j int, delta float64) *circuit.Circuit {
	t.Helper()
	f, err := codec.New(w.plan.Core)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.DecodeModel(w.model)
	if err != nil {
		t.Fatal(err)
	}
	step, _ := big.NewFloat(math.Ldexp(delta, w.plan.Core.Params.LogScale-int(w.plan.Core.Scales[j]))).Int(nil)
	for i, q := range w.plan.Core.Params.Q {
		v := new(big.Int).Add(step, new(big.Int).SetUint64(m.Weights[j][i]))
		m.Weights[j][i] = v.Mod(v, new(big.Int).SetUint64(q)).Uint64()
	}
	raw, err := f.EncodeModel(m)
	if err != nil {
		t.Fatal(err)
	}
	core := w.plan.Core
	core.Model = id.Of(raw)
	c, err := circuit.Load(core, raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCanariesSeeEveryWeight(t *testing.T) {
	for _, want := range []float64{1e-3, 1e-8} { // one prime, two primes
		aff, rows := random(200, 12, 25)
		w := build(t, aff, rows, plan.Options{MaxError: want})
		bound := w.plan.Forecast.MaxError
		for j, b := range w.plan.Box {
			// Every canary has at least half of the largest magnitude: it moves by 10 bounds or more.
			delta := 20 * bound / max(math.Abs(b.Low), math.Abs(b.High))
			honest := w.circ
			w.circ = cheat(t, w, j, delta)
			if _, err := w.score(t, rows, 1); !errors.Is(err, fhe.ErrCanary) || err.Error() != fhe.ErrCanary.Error() {
				t.Errorf("weight %d off by %g: %v", j, delta, err)
			}
			w.circ = honest
		}
		w.circ = cheat(t, w, 0, 0)
		if _, err := w.score(t, rows, 1); err != nil {
			t.Errorf("nothing changed: %v", err)
		}
	}
}

func TestWrongAnswersAreRefused(t *testing.T) {
	ctx := context.Background()
	aff, rows := random(100, 5, 10)
	w := build(t, aff, rows, plan.Options{})
	known, err := holder.Draw(aff, w.plan.Box, 8)
	if err != nil {
		t.Fatal(err)
	}
	batch, set, err := w.hold.Encrypt(rows, known)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.circ.Evaluate(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	otherBatch, otherSet, err := w.hold.Encrypt(rows, known)
	if err != nil {
		t.Fatal(err)
	}
	otherAnswer, err := w.circ.Evaluate(ctx, otherBatch)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := holder.New(w.plan)
	if err != nil {
		t.Fatal(err)
	}
	f, err := codec.New(w.plan.Core)
	if err != nil {
		t.Fatal(err)
	}
	zero := make([]uint64, w.plan.Core.Params.N())
	for _, c := range []struct {
		name   string
		h      *holder.Holder
		answer []byte
		set    *holder.CanarySet
		want   error
	}{
		{"honest", w.hold, answer, set, nil},
		{"answer of another batch", w.hold, otherAnswer, set, fhe.ErrCanary},
		{"another batch's canaries", w.hold, answer, otherSet, fhe.ErrCanary},
		{"zero ciphertext", w.hold, f.EncodeResult(zero, zero), set, fhe.ErrCanary},
		{"another key", stranger, answer, set, fhe.ErrCanary},
		{"cut short", w.hold, answer[:len(answer)-8], set, fhe.ErrMalformed},
		{"no canaries", w.hold, answer, nil, fhe.ErrMalformed},
		{"a set of nothing", w.hold, answer, &holder.CanarySet{V: 1, Rows: 4096}, fhe.ErrMalformed},
		{"a position twice", w.hold, answer, &holder.CanarySet{V: 1, Rows: 4094, At: []uint32{7, 7}, Want: []float64{0, 0}, Bound: 1e9}, fhe.ErrMalformed},
	} {
		if _, err := c.h.Decrypt(c.answer, c.set); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestCanariesAndKeySurviveTheVault(t *testing.T) {
	aff, rows := random(50, 3, 10)
	w := build(t, aff, rows, plan.Options{})
	known, err := holder.Draw(aff, w.plan.Box, 4)
	if err != nil {
		t.Fatal(err)
	}
	batch, set, err := w.hold.Encrypt(rows, known)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := doc.Encode(set)
	if err != nil {
		t.Fatal(err)
	}
	later, err := holder.FromSeed(w.plan, w.hold.Seed())
	if err != nil {
		t.Fatal(err)
	}
	w.hold.Close()
	var back holder.CanarySet
	if err := doc.Decode(raw, &back); err != nil {
		t.Fatal(err)
	}
	answer, err := w.circ.Evaluate(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	got, err := later.Decrypt(answer, &back)
	if err != nil || len(got) != len(rows) {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	if _, err := w.hold.Decrypt(answer, &back); !errors.Is(err, fhe.ErrCanary) {
		t.Error("a closed holder still has its key:", err)
	}
	if w.hold.Seed() != [32]byte{} {
		t.Error("a closed holder still has its seed")
	}
}

func TestRowsAreRefusedByName(t *testing.T) {
	aff, rows := random(50, 3, 10)
	w := build(t, aff, rows, plan.Options{})
	known, err := holder.Draw(aff, w.plan.Box, 1)
	if err != nil {
		t.Fatal(err)
	}
	ok := rows[0]
	for _, c := range []struct {
		name string
		row  []float64
		says string
	}{
		{"missing column", ok[:2], "row 2 has 2 columns, the model has 3"},
		{"extra column", append(ok[:3:3], 1), "row 2 has 4 columns"},
		{"NaN", []float64{ok[0], math.NaN(), ok[2]}, "row 2, column 2 is NaN"},
		{"infinite", []float64{ok[0], ok[1], math.Inf(-1)}, "row 2, column 3 is -Inf"},
		{"outside the box", []float64{w.plan.Box[0].High * 1.01, ok[1], ok[2]}, "row 2, column 1 is"},
	} {
		_, _, err := w.hold.Encrypt([][]float64{ok, c.row}, known)
		if !errors.Is(err, fhe.ErrRange) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		put := func(context.Context, []byte) (id.ID, error) { t.Error("something was sent"); return id.ID{}, nil }
		if _, _, err := w.hold.EncryptAll(context.Background(), [][]float64{ok, c.row}, aff, 8, holder.Run{}, put); !errors.Is(err, fhe.ErrRange) {
			t.Errorf("%s, all: %v", c.name, err)
		}
	}
	if _, _, err := w.hold.Encrypt(rows, nil); !errors.Is(err, fhe.ErrRange) {
		t.Error("no canaries:", err)
	}
	full := make([][]float64, w.plan.Core.BatchRows())
	if _, _, err := w.hold.Encrypt(full, known); !errors.Is(err, fhe.ErrRange) {
		t.Error("too many rows:", err)
	}
}

func TestDetectionProbability(t *testing.T) {
	for _, c := range []struct {
		f    float64
		c    int
		want float64
	}{{0, 32, 0}, {1, 1, 1}, {0.5, 2, 0.75}, {0.01, 32, 0.27502018}, {0.1, 32, 0.96566}} {
		if got := holder.DetectionProbability(c.f, c.c); math.Abs(got-c.want) > 1e-5 {
			t.Errorf("f %v, c %d: %v, want %v", c.f, c.c, got, c.want)
		}
	}
}

// The closed form agrees with drawn canaries.
func TestMovedIsTheFractionOfDraws(t *testing.T) {
	for _, b := range []fhe.Range{{Low: -3, High: 5}, {Low: 2, High: 9}, {Low: -8, High: -1}, {Low: 0, High: 1}, {Low: 4, High: 4}} {
		for _, delta := range []float64{0.1, -0.3, 0.5, 10} {
			const bound, n = 0.7, 4000
			known, err := holder.Draw(fhe.Affine{Weights: []float64{1}}, []fhe.Range{b}, n)
			if err != nil {
				t.Fatal(err)
			}
			hit := 0
			top := max(math.Abs(b.Low), math.Abs(b.High))
			for _, k := range known {
				x := k.Row[0]
				if x < b.Low || x > b.High || math.Abs(x) < top/2*(1-1e-12) {
					t.Fatalf("%v drawn from %v", x, b)
				}
				if math.Abs(delta*x) > 2*bound {
					hit++
				}
			}
			got := float64(hit) / n
			if want := holder.Moved(delta, b, bound); math.Abs(got-want) > 6*math.Sqrt(want*(1-want)/n) {
				t.Errorf("range %v, delta %v: %v of the draws, want %v", b, delta, got, want)
			}
		}
	}
}

func TestRound(t *testing.T) {
	for _, c := range []struct {
		v    float64
		p    int
		want float64
	}{{0.123, 3, 0.125}, {-0.123, 3, -0.125}, {0.0625, 3, 0}, {0.1875, 3, 0.25}, {1000.7, -2, 1000}, {5, 40, 5}} {
		if got := holder.Round([]float64{c.v}, c.p)[0]; got != c.want {
			t.Errorf("%v at 2^-%d: %v, want %v", c.v, c.p, got, c.want)
		}
	}
	if p, err := holder.ReleasePrecision(1e-4); err != nil || p != 9 {
		t.Errorf("precision %d %v", p, err) // 2^-9 = 1.95e-3 ≥ 16e-4 > 2^-10
	}
	if _, err := holder.ReleasePrecision(0); !errors.Is(err, fhe.ErrRange) {
		t.Error(err)
	}
}

// Positions are secret: drawn again for every batch, spread over all of it.
func TestPositionsAreFresh(t *testing.T) {
	aff, rows := random(4000, 2, 10)
	w := build(t, aff, rows, plan.Options{})
	low, seen := 0, map[uint32]int{}
	for range 20 {
		known, err := holder.Draw(aff, w.plan.Box, 96)
		if err != nil {
			t.Fatal(err)
		}
		_, set, err := w.hold.Encrypt(rows, known)
		if err != nil {
			t.Fatal(err)
		}
		for _, pos := range set.At {
			seen[pos]++
			if pos < 2048 {
				low++
			}
		}
	}
	// 1920 draws: half of them low, give or take eight deviations; few repeat often.
	if low < 960-175 || low > 960+175 || len(seen) < 1300 {
		t.Errorf("%d of 1920 canaries in the lower half, %d different positions", low, len(seen))
	}
}

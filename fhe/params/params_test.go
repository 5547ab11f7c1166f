package params

import (
	"errors"
	"math"
	"testing"

	"cipherdeck/fhe"
)

func primes(t *testing.T, logN int, bits ...int) []uint64 {
	t.Helper()
	var out []uint64
	count := map[int]int{}
	for _, b := range bits {
		count[b]++
		q, err := Primes(logN, b, count[b])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, q[count[b]-1])
	}
	return out
}

func TestGateIsTheTable(t *testing.T) {
	for _, c := range []struct {
		name string
		logN int
		q, p []int
		ok   bool
	}{
		{"one prime", 12, []int{49}, nil, true},
		{"two primes", 12, []int{49, 49}, nil, true},
		{"at the bound", 12, []int{49, 30, 27}, nil, true}, // primes lie below 2^bits: 105.99…
		{"one bit over", 12, []int{49, 30, 28}, nil, false},
		{"special primes count", 12, []int{49, 49}, []int{25}, false},
		{"same modulus, larger ring", 13, []int{49, 49, 49, 49}, nil, true},
		{"too much for 13", 13, []int{49, 49, 49, 49, 25}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := primes(t, c.logN, append(append([]int{}, c.q...), c.p...)...)
			err := Gate(fhe.Params{LogN: c.logN, Q: all[:len(c.q)], P: all[len(c.q):]})
			if c.ok && err != nil || !c.ok && !errors.Is(err, fhe.ErrInsecure) {
				t.Fatal(err)
			}
		})
	}
	for _, logN := range []int{-1, 0, 10, 11, 17, 64} {
		if err := Gate(fhe.Params{LogN: logN, Q: []uint64{12289}}); !errors.Is(err, fhe.ErrInsecure) {
			t.Errorf("log_n %d: %v", logN, err)
		}
	}
	if err := Gate(fhe.Params{LogN: 16, Q: make([]uint64, 1<<20)}); !errors.Is(err, fhe.ErrInsecure) {
		t.Error("a million primes were looked at")
	}
}

func TestLogQPRoundsUp(t *testing.T) {
	for _, c := range []struct {
		q    []uint64
		want float64
	}{{[]uint64{1 << 40}, 40}, {[]uint64{1 << 40, 1 << 13}, 53}, {[]uint64{3}, math.Log2(3)}} {
		got := LogQP(fhe.Params{Q: c.q})
		if got < c.want || got > c.want+1.0/(1<<19) {
			t.Errorf("%v: %v, want just above %v", c.q, got, c.want)
		}
	}
	if got := LogQP(fhe.Params{Q: []uint64{1<<53 + 1, 1<<53 - 1}}); got <= 105.9999 {
		t.Errorf("2^106 - 1 gives %v", got)
	}
	if got := LogQP(fhe.Params{Q: []uint64{1<<53 + 1, 1 << 53}}); got <= 106 {
		t.Errorf("just above 2^106 gives %v", got)
	}
}

func TestCheckWantsUsablePrimes(t *testing.T) {
	good := primes(t, 12, 49, 40)
	for _, c := range []struct {
		name string
		q    []uint64
	}{{"none", nil}, {"composite", []uint64{good[0] - 8192}}, {"even", []uint64{1 << 40}}, {"repeated", []uint64{good[0], good[0]}},
		{"wrong ring", []uint64{1<<31 - 1}}, {"small", []uint64{12289}}, {"large", []uint64{1152921504606830593}}, {"zero", []uint64{0}}} {
		if err := Check(fhe.Params{LogN: 12, Q: c.q}); !errors.Is(err, fhe.ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := Check(fhe.Params{LogN: 12, Q: good}); err != nil {
		t.Error(err)
	}
	if err := Check(fhe.Params{LogN: 12, Q: good, LogScale: -1}); !errors.Is(err, fhe.ErrMalformed) {
		t.Error("negative scale:", err)
	}
}

func TestPrimesArePinned(t *testing.T) {
	// Computed once with an independent Miller-Rabin test, in another language.
	got := primes(t, 12, 49, 49)
	want := []uint64{562949953216513, 562949952987137}
	if got[0] != want[0] || got[1] != want[1] {
		t.Fatalf("got %d", got)
	}
	if _, err := Primes(12, 25, 1000); !errors.Is(err, fhe.ErrMalformed) {
		t.Error("found 1000 primes of 25 bits")
	}
}

func TestCheckCore(t *testing.T) {
	good := func() fhe.Core {
		return fhe.Core{V: 1, Layout: fhe.LayoutFeatureMajor, Features: 1, Scales: []int8{20}, Final: fhe.FinalNone,
			Params: fhe.Params{LogN: 12, Q: primes(t, 12, 49), LogScale: 40}}
	}
	if err := CheckCore(good()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*fhe.Core)
		want   error
	}{
		"version":  {func(c *fhe.Core) { c.V = 2 }, fhe.ErrUnsupported},
		"layout":   {func(c *fhe.Core) { c.Layout = "diagonal" }, fhe.ErrUnsupported},
		"ring":     {func(c *fhe.Core) { c.Params.LogN = 11 }, fhe.ErrInsecure},
		"levels":   {func(c *fhe.Core) { c.Levels = 1 }, fhe.ErrMalformed},
		"special":  {func(c *fhe.Core) { c.Params.P = primes(t, 12, 30) }, fhe.ErrMalformed},
		"features": {func(c *fhe.Core) { c.Features = 1 << 40 }, fhe.ErrMalformed},
		"scales":   {func(c *fhe.Core) { c.Scales = nil }, fhe.ErrMalformed},
		"final":    {func(c *fhe.Core) { c.Final = "softmax" }, fhe.ErrUnsupported},
	} {
		core := good()
		c.change(&core)
		if err := CheckCore(core); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMaxBatch holds the first number of features whose batch no server takes,
// for one and for two primes.
func TestMaxBatch(t *testing.T) {
	for _, c := range []struct {
		logN int
		bits []int
		most int
	}{{12, []int{49}, 667}, {12, []int{49, 49}, 334}, {13, []int{49, 49}, 167}} {
		for _, features := range []int{1, c.most, c.most + 1, MaxFeatures} {
			core := fhe.Core{V: 1, Layout: fhe.LayoutFeatureMajor, Features: features, Levels: len(c.bits) - 1,
				Scales: make([]int8, features), Final: fhe.FinalNone, Params: fhe.Params{LogN: c.logN, Q: primes(t, c.logN, c.bits...), LogScale: 40}}
			err := CheckCore(core)
			if fits := features <= c.most; fits && err != nil || !fits && !errors.Is(err, fhe.ErrUnsupported) {
				t.Errorf("log_n %d, %d primes, %d features: %v", c.logN, len(c.bits), features, err)
			}
		}
	}
}

package holder

import (
	"bytes"
	"math"
	"testing"

	"cipherdeck/fhe"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/params"
)

func testHolder(t *testing.T, primes int) *Holder {
	t.Helper()
	q, err := params.Primes(12, 49, primes)
	if err != nil {
		t.Fatal(err)
	}
	core := fhe.Core{V: 1, Layout: fhe.LayoutFeatureMajor, Features: 1, Levels: primes - 1, Scales: []int8{20}, Final: fhe.FinalNone,
		Params: fhe.Params{LogN: 12, Q: q, LogScale: 40}}
	h, err := FromSeed(&fhe.Plan{Core: core, Box: []fhe.Range{{Low: -1, High: 1}}, Forecast: fhe.Forecast{MaxError: 1e-3}}, [32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func centred(x, q uint64) int64 {
	if x > q/2 {
		return int64(x) - int64(q)
	}
	return int64(x)
}

func TestSecretIsUniformTernaryAndPinned(t *testing.T) {
	h := testHolder(t, 2)
	counts := map[int64]int{}
	var first []int64
	for i, sub := range h.format.Ring.SubRings {
		s := make([]uint64, len(h.secret[i]))
		sub.IMForm(h.secret[i], s)
		sub.INTT(s, s)
		for r, x := range s {
			v := centred(x, sub.Modulus)
			if i == 0 {
				counts[v]++
				first = append(first, v)
			} else if v != first[r] {
				t.Fatal("limbs hold different secrets")
			}
		}
	}
	for v := int64(-1); v <= 1; v++ {
		if c := counts[v]; c < 1365-200 || c > 1365+200 { // 4096/3, more than six deviations
			t.Errorf("%d comes %d times", v, c)
		}
	}
	if len(counts) != 3 {
		t.Errorf("values %v", counts)
	}
	// A seed in a vault must give the same key for ever.
	var head [16]int64
	copy(head[:], first)
	if want := [16]int64{-1, 0, 1, 1, -1, 0, 1, -1, 1, -1, -1, -1, -1, 1, -1, 0}; head != want {
		t.Errorf("secret starts %v, want %v", head, want)
	}
}

func TestGaussianTable(t *testing.T) {
	g := newGaussian()
	stream, err := keystream(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	const n = 1 << 18
	v := make([]int64, n)
	g.add(v, stream)
	counts, sum, square := map[int64]float64{}, 0.0, 0.0
	for _, x := range v {
		counts[x]++
		sum += float64(x)
		square += float64(x * x)
	}
	if mean := sum / n; math.Abs(mean) > 6*sigma/math.Sqrt(n) {
		t.Errorf("mean %v", mean)
	}
	if dev := math.Sqrt(square / n); math.Abs(dev-sigma) > 0.03 {
		t.Errorf("deviation %v, want %v", dev, sigma)
	}
	norm := 0.0
	for k := -largest; k <= largest; k++ {
		norm += math.Exp(-float64(k*k) / (2 * sigma * sigma))
	}
	for k := int64(-9); k <= 9; k++ {
		want := n * math.Exp(-float64(k*k)/(2*sigma*sigma)) / norm
		if got := counts[k]; math.Abs(got-want) > 6*math.Sqrt(want) {
			t.Errorf("%d comes %v times, want %v", k, got, want)
		}
	}
	if g.sample(0) != 0 || g.sample(math.MaxUint64) != -largest || g.sample(math.MaxUint64-1) != largest {
		t.Errorf("ends: %d %d %d", g.sample(0), g.sample(math.MaxUint64), g.sample(math.MaxUint64-1))
	}
}

// A ciphertext without noise would decrypt better and hide nothing.
func TestCiphertextsCarryFreshNoise(t *testing.T) {
	for primes := 1; primes <= 2; primes++ {
		h := testHolder(t, primes)
		rows := make([][]float64, 4096)
		for i := range rows {
			rows[i] = []float64{float64(i%3) / 4}
		}
		d := h.desks.Get().(*desk)
		seeds := map[[codec.SeedSize]byte]bool{}
		for range 3 {
			batch := h.format.NewBatch()
			if err := h.encryptFeature(batch, 0, rows, d); err != nil {
				t.Fatal(err)
			}
			seeds[[32]byte(batch[codec.HeaderSize:])] = true
			b, err := h.format.OpenBatch(batch)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Seeded(0, d.c0, d.c1); err != nil {
				t.Fatal(err)
			}
			for i, sub := range h.format.Ring.SubRings {
				sub.MulCoeffsMontgomeryThenAdd(d.c1[i], h.secret[i], d.c0[i])
				sub.INTT(d.c0[i], d.c0[i])
				square := 0.0
				for r, x := range d.c0[i] {
					e := centred(x, sub.Modulus) - int64(rows[r][0]*(1<<20))
					if e < -largest || e > largest {
						t.Fatalf("row %d: error %d", r, e)
					}
					square += float64(e * e)
				}
				if dev := math.Sqrt(square / 4096); dev < 2.9 || dev > 3.5 {
					t.Errorf("deviation %v, want 3.2", dev)
				}
			}
		}
		if len(seeds) != 3 {
			t.Error("a seed was used twice")
		}
	}
}

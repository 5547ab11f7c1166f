package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/fhe"
	"cipherdeck/fhe/params"
)

// testCore has two features and two primes.
func testCore(t testing.TB) fhe.Core {
	t.Helper()
	q, err := params.Primes(12, 49, 2)
	if err != nil {
		t.Fatal(err)
	}
	return fhe.Core{V: 1, Layout: fhe.LayoutFeatureMajor, Features: 2, Levels: 1, Scales: []int8{40, 41}, Final: fhe.FinalSigmoid,
		Params: fhe.Params{LogN: 12, Q: q, LogScale: 80}, Model: id.Of([]byte("m"))}
}

func format(t testing.TB) *Format {
	t.Helper()
	f, err := New(testCore(t))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func polys(f *Format) [][]uint64 {
	var out [][]uint64
	r := rand.New(rand.NewPCG(1, 2))
	for _, q := range f.Core.Params.Q {
		p := make([]uint64, f.Core.Params.N())
		for i := range p {
			p[i] = r.Uint64N(q)
		}
		p[0], p[1] = q-1, 0
		out = append(out, p)
	}
	return out
}

func batch(f *Format) []byte {
	b := f.NewBatch()
	for j := range f.Core.Features {
		f.PutSeeded(b, j, &[SeedSize]byte{byte(j)}, polys(f))
	}
	return b
}

func model(f *Format) *Model {
	p := polys(f)
	return &Model{Weights: [][]uint64{{p[0][0], p[1][0]}, {p[0][2], p[1][2]}}, Bias: []uint64{p[0][3], p[1][3]}}
}

func TestPackingAllWidths(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for width := 25; width <= 56; width++ {
		v, got := make([]uint64, 128), make([]uint64, 128)
		for i := range v {
			v[i] = r.Uint64N(1 << width)
		}
		raw := make([]byte, len(v)*width/8)
		pack(raw, v, width)
		if bad := unpack(got, raw, width, 1<<width); bad >= 0 || !slices.Equal(v, got) {
			t.Fatalf("width %d differs", width)
		}
		for i, x := range v { // against the definition: bit k of v[i] is bit i·width+k of the whole
			k := i*width + width/2
			if uint64(raw[k/8]>>(k%8)&1) != x>>(width/2)&1 {
				t.Fatalf("width %d: bit %d of value %d is elsewhere", width, width/2, i)
			}
		}
	}
}

func TestRoundTrips(t *testing.T) {
	f := format(t)
	want := polys(f)
	open, err := f.OpenBatch(batch(f))
	if err != nil {
		t.Fatal(err)
	}
	c0, c1, u := polys(f), polys(f), make([]uint64, f.Core.Params.N())
	for j := range f.Core.Features {
		if err := open.Seeded(j, c0, c1); err != nil || !reflect.DeepEqual(c0, want) {
			t.Fatalf("ciphertext %d: %v", j, err)
		}
		for i, q := range f.Core.Params.Q {
			if Uniform(u, &[SeedSize]byte{byte(j)}, i, q); !slices.Equal(u, c1[i]) {
				t.Fatalf("ciphertext %d: c1 limb %d is not its seed's", j, i)
			}
		}
	}
	Uniform(u, &[SeedSize]byte{}, 0, f.Core.Params.Q[0])
	if err := f.DecodeResult(f.EncodeResult(want[0], u), c0[0], c0[1]); err != nil || !slices.Equal(c0[0], want[0]) || !slices.Equal(c0[1], u) {
		t.Fatalf("result differs: %v", err)
	}
	raw, err := f.EncodeModel(model(f))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := f.DecodeModel(raw); err != nil || !reflect.DeepEqual(m, model(f)) {
		t.Fatalf("model: %v", err)
	}
	core, _, err := EncodeCore(f.Core)
	if err != nil {
		t.Fatal(err)
	}
	c, err := DecodeCore(core)
	if again, _, _ := EncodeCore(c); err != nil || !bytes.Equal(again, core) || c.Params.Q[1] != f.Core.Params.Q[1] {
		t.Fatalf("core: %v", err)
	}
}

// decodeAll tries every decoder; decoded says that one accepted b.
func decodeAll(f *Format, b []byte) (decoded bool, again []byte) {
	c := polys(f)
	if o, err := f.OpenBatch(b); err == nil {
		again = f.NewBatch()
		for j := range f.Core.Features {
			if o.Seeded(j, c, polys(f)) != nil {
				return false, nil
			}
			f.PutSeeded(again, j, (*[SeedSize]byte)(o.body[j*f.seededSize():]), c)
		}
		return true, again
	}
	if f.DecodeResult(b, c[0], c[1]) == nil {
		return true, f.EncodeResult(c[0], c[1])
	}
	if m, err := f.DecodeModel(b); err == nil {
		again, _ = f.EncodeModel(m)
		return true, again
	}
	if m, err := DecodeCore(b); err == nil {
		again, _, _ = EncodeCore(m)
		return true, again
	}
	return false, nil
}

// forms is one valid form of each kind.
func forms(t testing.TB, f *Format) map[string][]byte {
	t.Helper()
	p := polys(f)
	m, err := f.EncodeModel(model(f))
	if err != nil {
		t.Fatal(err)
	}
	core, _, err := EncodeCore(f.Core)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"batch": batch(f), "result": f.EncodeResult(p[0], p[0]), "model": m, "core": core}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	f := format(t)
	for name, b := range forms(t, f) {
		if ok, again := decodeAll(f, b); !ok || !bytes.Equal(again, b) {
			t.Fatalf("%s does not decode to itself", name)
		}
		for n := 0; n < len(b); n += 8 {
			if ok, _ := decodeAll(f, b[:n:n]); ok {
				t.Fatalf("%s: %d of %d bytes were accepted", name, n, len(b))
			}
		}
		if ok, _ := decodeAll(f, append(b[:len(b):len(b)], 0)); ok {
			t.Fatalf("%s with a trailing byte was accepted", name)
		}
	}
}

func TestHeadersAreChecked(t *testing.T) {
	f := format(t)
	names := []string{"magic", "version", "kind", "level", "reserved", "params digest", "log_scale", "count"}
	for i, at := range []int{0, 4, 5, 6, 7, 20, 43, 47} {
		b := batch(f)
		b[at] ^= 1
		_, err := f.OpenBatch(b)
		if !errors.Is(err, fhe.ErrMalformed) || !strings.Contains(err.Error(), names[i]) {
			t.Errorf("byte %d: %v, want %s", at, err, names[i])
		}
	}
	other := testCore(t)
	other.Scales = []int8{40, 40}
	g, err := New(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.OpenBatch(batch(f)); !errors.Is(err, fhe.ErrMalformed) {
		t.Error("a batch of another plan:", err)
	}
	other = testCore(t)
	other.Model = id.Of([]byte("another")) // the model is not part of the digest
	if g, err = New(other); err != nil || g.Digest != f.Digest {
		t.Error("digest depends on the model", err)
	}
}

func TestCoefficientsAreBelowTheirPrime(t *testing.T) {
	f := format(t)
	for _, over := range []uint64{0, 1} { // the prime itself is too large already
		for limb, q := range f.Core.Params.Q {
			p := polys(f)
			p[limb][77] = q + over
			b := batch(f)
			f.PutSeeded(b, 1, &[SeedSize]byte{}, p)
			o, err := f.OpenBatch(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Seeded(1, polys(f), polys(f)); !errors.Is(err, fhe.ErrMalformed) || !strings.Contains(err.Error(), "coefficient 77") {
				t.Errorf("batch, limb %d: %v", limb, err)
			}
		}
		p := polys(f)[0]
		bad := slices.Clone(p)
		bad[5] = f.Core.Params.Q[0] + over
		for _, r := range [][]byte{f.EncodeResult(bad, p), f.EncodeResult(p, bad)} {
			if err := f.DecodeResult(r, p, slices.Clone(p)); !errors.Is(err, fhe.ErrMalformed) {
				t.Error("result:", err)
			}
			p = polys(f)[0]
		}
	}
	raw := forms(t, f)["model"]
	binary.BigEndian.PutUint64(raw[HeaderSize+8:], f.Core.Params.Q[1])
	if _, err := f.DecodeModel(raw); !errors.Is(err, fhe.ErrMalformed) {
		t.Error("model:", err)
	}
	m := model(f)
	m.Bias[1] = f.Core.Params.Q[1]
	if _, err := f.EncodeModel(m); !errors.Is(err, fhe.ErrMalformed) {
		t.Error("model written:", err)
	}
}

func TestWeakParametersFromTheWireAreRefused(t *testing.T) {
	raw, _, err := EncodeCore(testCore(t))
	if err != nil {
		t.Fatal(err)
	}
	weak := bytes.Replace(raw, []byte{0x01, 0x0c}, []byte{0x01, 0x0b}, 1) // log_n 12 → 11
	if _, err := DecodeCore(weak); !errors.Is(err, fhe.ErrInsecure) {
		t.Fatal(err)
	}
	if _, err := DecodeCore(make([]byte, MaxCore+1)); !errors.Is(err, fhe.ErrMalformed) {
		t.Fatal(err)
	}
}

// The vector of docs/formats/fhe.md.
func TestUniformVector(t *testing.T) {
	var seed [SeedSize]byte
	for i := range seed {
		seed[i] = byte(i)
	}
	const q = 562949953216513
	for _, c := range []struct {
		limb  int
		first []uint64
		sum   string
	}{
		{0, []uint64{361922767655154, 333003487900585, 485205382422000}, "7fd1b2e764c6d1e3430e5cc4697f28b40c5c92b7007d5c313453795f0d26dbc8"},
		{1, []uint64{396489634684241, 87328640049060, 544889334711616}, "c7567012c177951931a0806b0f1a9a654d97747d6b5485484ed40125afbe1c61"},
	} {
		v := make([]uint64, 4096)
		Uniform(v, &seed, c.limb, q)
		h := sha256.New()
		for _, x := range v {
			h.Write(binary.LittleEndian.AppendUint64(nil, x))
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != c.sum || !slices.Equal(v[:3], c.first) {
			t.Errorf("limb %d: %d, %s", c.limb, v[:3], got)
		}
	}
}

func TestUniformCoversTheRange(t *testing.T) {
	const q = 1<<48 + 1 // just above a power of two: half of all candidates are rejected
	v := make([]uint64, 1<<14)
	Uniform(v, &[SeedSize]byte{9}, 0, q)
	upper := 0
	for _, x := range v {
		if x >= q {
			t.Fatal("value outside the range")
		}
		if x >= q/2 {
			upper++
		}
	}
	if upper < len(v)/2-500 || upper > len(v)/2+500 { // eight standard deviations
		t.Fatalf("%d of %d in the upper half", upper, len(v))
	}
}

func FuzzDecode(f *testing.F) {
	form := format(f)
	for _, b := range forms(f, form) {
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if ok, again := decodeAll(form, b); ok && !bytes.Equal(again, b) {
			t.Fatal("two encodings of one value")
		}
	})
}

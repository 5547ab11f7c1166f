package codec

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cipherdeck/fhe"
)

// The vectors printed in docs/formats/fhe.md are those of the code.
func TestDocumentedVectors(t *testing.T) {
	core := fhe.Core{V: 1, Layout: fhe.LayoutFeatureMajor, Features: 1, Scales: []int8{20}, Final: fhe.FinalSigmoid,
		Params: fhe.Params{LogN: 12, Q: []uint64{562949953216513}, LogScale: 40}}
	f, err := New(core)
	if err != nil {
		t.Fatal(err)
	}
	model, err := f.EncodeModel(&Model{Weights: [][]uint64{{3 << 20}}, Bias: []uint64{562949953216513 - 5}})
	if err != nil {
		t.Fatal(err)
	}
	plan, name, err := EncodeCore(core)
	if err != nil {
		t.Fatal(err)
	}
	packed := make([]byte, 64*49/8)
	v := make([]uint64, 64)
	v[0], v[1], v[63] = 1, 1<<48, 0x1555555555555
	pack(packed, v, 49)
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "fhe.md"))
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"plan core": hex.EncodeToString(plan), "plan name": name.String(), "digest": hex.EncodeToString(f.Digest[:]),
		"model": hex.EncodeToString(model), "packed head": hex.EncodeToString(packed[:14]), "packed tail": hex.EncodeToString(packed[384:]),
	} {
		if !strings.Contains(strings.ReplaceAll(string(text), "\n", ""), want) {
			t.Errorf("docs/formats/fhe.md lacks the %s: %s", what, want)
		}
	}
	if f.BatchSize() != 48+32+25088 || f.ResultSize() != 48+2*25088 || f.ModelSize() != 64 {
		t.Errorf("sizes %d, %d, %d", f.BatchSize(), f.ResultSize(), f.ModelSize())
	}
}

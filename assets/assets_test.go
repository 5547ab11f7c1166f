package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

const rows, features = 569, 30

// A changed byte in any file is a deliberate act: run train.py, then pin anew.
func TestFilesArePinned(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"wdbc.csv":      {wdbcCSV, "24e220f06a0844385ea0e0f551c2ee1f9725e248e1dd662fafca95e0c7d1a0bf"},
		"logreg.onnx":   {logregONNX, "1173c9d45a4ae35487c99caf200ed1f61823529d3aa43bb70a022837868a7ef2"},
		"heldout.json":  {heldoutJSON, "818cf38aea16ac07ef5cba9cdb4193521d17d6fa91ca1506ca9e2d6aa0e3023d"},
		"expected.json": {expectedJSON, "f65b731144366fe42b11ab74b1ec71852c4d8e4be58be6a6e61c8a2e8b175725"},
	} {
		sum := sha256.Sum256([]byte(c.got))
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("%s: SHA-256 %s, pinned %s", name, got, c.want)
		}
	}
}

func TestWDBCShapeAndLabels(t *testing.T) {
	names, x, y := table(t)
	if len(names) != features+1 || names[0] != "mean_radius" || names[features] != "malignant" {
		t.Fatalf("header %q", names)
	}
	if len(x) != rows {
		t.Fatalf("%d rows, want %d", len(x), rows)
	}
	malignant := 0
	for _, label := range y {
		malignant += label
	}
	if malignant != 212 || len(y)-malignant != 357 {
		t.Fatalf("%d malignant, %d benign; published: 212 and 357", malignant, len(y)-malignant)
	}
	// The first published sample (id 842302) is malignant with radius 17.99:
	// labels that were turned round would keep neither count.
	if x[0][0] != 17.99 || y[0] != 1 {
		t.Fatalf("first row is %v, label %d", x[0], y[0])
	}
}

func TestHeldOutIsStratifiedAndSmallerThanTraining(t *testing.T) {
	held, err := HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	e, err := Expected()
	if err != nil {
		t.Fatal(err)
	}
	if len(held) != 171 || e.HeldOutRows != 171 || e.TrainRows != rows-171 {
		t.Fatalf("%d held out, expectation %+v", len(held), e)
	}
	if !slices.IsSorted(held) || len(slices.Compact(slices.Clone(held))) != len(held) || held[0] < 0 || held[170] >= rows {
		t.Fatalf("rows are not distinct, ascending and within the table: %v", held)
	}
	_, _, y := table(t)
	malignant := 0
	for _, i := range held {
		malignant += y[i]
	}
	if malignant != 64 || e.HeldOutMalignant != 64 || math.Abs(e.BaseRate-64.0/171) > 1e-8 {
		t.Fatalf("%d malignant held out; the set has 212 of 569, so 64 of 171", malignant)
	}
}

// The model file itself, read by its wire format and evaluated here, must
// answer what expected.json promises: nothing else ties the four files together.
func TestModelAnswersAsExpected(t *testing.T) {
	_, x, y := table(t)
	held, _ := HeldOut()
	want, err := Expected()
	if err != nil {
		t.Fatal(err)
	}
	logits := evaluate(t, x)
	var score []float64
	var label []int
	right := 0
	for _, i := range held {
		score, label = append(score, logits[i]), append(label, y[i])
		if (logits[i] > 0) == (y[i] == 1) {
			right++
		}
	}
	for name, c := range map[string]struct{ got, want, tol float64 }{
		"AUC":               {auc(score, label), want.AUC, 1e-8},
		"accuracy":          {float64(right) / float64(len(held)), want.Accuracy, 1e-8},
		"held-out minimum":  {slices.Min(score), want.HeldOutLogitMin, 1e-5},
		"held-out maximum":  {slices.Max(score), want.HeldOutLogitMax, 1e-5},
		"minimum of logits": {slices.Min(logits), want.LogitMin, 1e-5},
		"maximum of logits": {slices.Max(logits), want.LogitMax, 1e-5},
	} {
		if math.Abs(c.got-c.want) > c.tol {
			t.Errorf("%s: %v, expected.json says %v", name, c.got, c.want)
		}
	}
}

func TestCallersGetCopies(t *testing.T) {
	WDBC()[0] ^= 1
	Model()[0] ^= 1
	if string(WDBC()) != wdbcCSV || string(Model()) != logregONNX {
		t.Fatal("a caller changed the embedded bytes")
	}
}

func table(t *testing.T) (names []string, x [][]float64, y []int) {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(WDBC())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range all[1:] {
		row := make([]float64, len(rec))
		for i, s := range rec {
			if row[i], err = strconv.ParseFloat(s, 64); err != nil {
				t.Fatal(err)
			}
		}
		x, y = append(x, row[:features]), append(y, int(row[features]))
	}
	return all[0], x, y
}

func evaluate(t *testing.T, x [][]float64) []float64 {
	t.Helper()
	p := initialisers(t)
	mean, scale, weight, bias := p["mean"], p["scale"], p["weight"], p["bias"]
	if len(mean) != features || len(scale) != features || len(weight) != features || len(bias) != 1 {
		t.Fatalf("initialisers have lengths %d, %d, %d, %d", len(mean), len(scale), len(weight), len(bias))
	}
	out := make([]float64, len(x))
	for i, row := range x {
		out[i] = bias[0]
		for j, v := range row {
			out[i] += (v - mean[j]) / scale[j] * weight[j]
		}
	}
	return out
}

// initialisers reads ModelProto.graph(7).initializer(5): name(8), raw_data(9).
func initialisers(t *testing.T) map[string][]float64 {
	t.Helper()
	out := map[string][]float64{}
	for _, graph := range fields(t, Model(), 7) {
		for _, tensor := range fields(t, graph, 5) {
			raw := fields(t, tensor, 9)[0]
			var v []float64
			for ; len(raw) >= 4; raw = raw[4:] {
				v = append(v, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
			}
			out[string(fields(t, tensor, 8)[0])] = v
		}
	}
	return out
}

func fields(t *testing.T, b []byte, want protowire.Number) (out [][]byte) {
	t.Helper()
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			t.Fatal(protowire.ParseError(m))
		}
		if num == want && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			out = append(out, v)
		}
		b = b[n+m:]
	}
	return out
}

// auc is the Mann-Whitney statistic: the share of (malignant, benign) pairs
// that the score orders rightly.
func auc(score []float64, label []int) float64 {
	pairs, won := 0.0, 0.0
	for i := range score {
		for j := range score {
			if label[i] != 1 || label[j] != 0 {
				continue
			}
			pairs++
			switch {
			case score[i] > score[j]:
				won++
			case score[i] == score[j]:
				won += 0.5
			}
		}
	}
	return won / pairs
}

package graph_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"cipherdeck/fhe"
	"cipherdeck/fhe/graph"
	"cipherdeck/fhe/onnx"
	"cipherdeck/fhe/onnx/onnxtest"
)

func logistic() *onnx.Model {
	return onnxtest.Logistic([]float64{1, 20}, []float64{0.5, 4}, []float64{2, -3}, 0.25)
}

func vector(name string, data ...float64) onnx.Tensor {
	return onnx.Tensor{Name: name, Type: onnx.Float, Dims: []int64{int64(len(data))}, Data: data}
}

func TestLogisticByHand(t *testing.T) {
	g, err := graph.Build(logistic())
	if err != nil {
		t.Fatal(err)
	}
	// (2-1)/0.5·2 + (24-20)/4·(-3) + 0.25 = 4 - 3 + 0.25
	z, err := g.Logits([][]float64{{2, 24}})
	if err != nil || z[0] != 1.25 || g.Features != 2 || g.Final != fhe.FinalSigmoid {
		t.Fatalf("logit %v, %d features, final %q, %v", z, g.Features, g.Final, err)
	}
	p, err := g.Eval([][]float64{{2, 24}})
	if err != nil || math.Abs(p[0]-0.7772998611746911) > 1e-15 {
		t.Fatalf("probability %v %v", p, err)
	}
	aff, final, err := g.Affine()
	want := []float64{4, -0.75}
	if err != nil || final != fhe.FinalSigmoid || aff.Weights[0] != want[0] || aff.Weights[1] != want[1] || aff.Bias != 11.25 {
		t.Fatalf("folded to %+v %q %v", aff, final, err)
	}
}

// everyOp uses each supported operator in each of its forms.
func everyOp() *onnx.Model {
	m := logistic()
	attr := func(f float64) onnx.Attribute { return onnx.Attribute{Type: onnx.AttrFloat, Float: f} }
	k := onnx.Tensor{Type: onnx.Float, Data: []float64{0.5}}
	m.Graph.Tensors = []onnx.Tensor{vector("v", 1, -2, 3), vector("u", 0.5, 2, 4), vector("c", 7, -8),
		{Name: "W", Type: onnx.Float, Dims: []int64{3, 2}, Data: []float64{1, 2, 3, 4, 5, 6}},
		{Name: "G", Type: onnx.Float, Dims: []int64{2, 1}, Data: []float64{0.25, -0.75}}, vector("g", 3)}
	m.Graph.Inputs[0].Any = true
	m.Graph.Nodes = []onnx.Node{
		{Op: "Constant", Outputs: []string{"half"}, Attributes: map[string]onnx.Attribute{"value": {Type: onnx.AttrTensor, Tensor: &k}}},
		{Op: "Identity", Inputs: []string{"half"}, Outputs: []string{"same"}},
		{Op: "Sub", Inputs: []string{"v", "X"}, Outputs: []string{"a"}},
		{Op: "Mul", Inputs: []string{"same", "a"}, Outputs: []string{"b"}},
		{Op: "Div", Inputs: []string{"b", "u"}, Outputs: []string{"c1"}},
		{Op: "Identity", Inputs: []string{"c1"}, Outputs: []string{"c2"}},
		{Op: "MatMul", Inputs: []string{"c2", "W"}, Outputs: []string{"d"}},
		{Op: "Add", Inputs: []string{"c", "d"}, Outputs: []string{"e"}},
		{Op: "Sub", Inputs: []string{"e", "c"}, Outputs: []string{"e2"}},
		{Op: "Gemm", Inputs: []string{"e2", "G", "g"}, Outputs: []string{"f"}, Attributes: map[string]onnx.Attribute{"alpha": attr(2), "beta": attr(-1)}},
		{Op: "Sigmoid", Inputs: []string{"f"}, Outputs: []string{"s"}},
		{Op: "Identity", Inputs: []string{"s"}, Outputs: []string{"p"}},
	}
	return m
}

func TestFoldingEqualsSteps(t *testing.T) {
	g, err := graph.Build(everyOp())
	if err != nil {
		t.Fatal(err)
	}
	aff, _, err := g.Affine()
	if err != nil || g.Features != 3 {
		t.Fatal(g.Features, err)
	}
	// By hand at (0,0,0): h = v/2/u = (1, -0.5, 0.375); h·W = (1.375, 2.25);
	// 2·(1.375·0.25 − 2.25·0.75) − 3 = -5.6875.
	if aff.Bias != -5.6875 {
		t.Fatalf("bias %v", aff.Bias)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		row := []float64{r.NormFloat64() * 10, r.NormFloat64(), r.NormFloat64()}
		z, err := g.Logits([][]float64{row})
		if err != nil {
			t.Fatal(err)
		}
		folded := aff.Bias
		for j, x := range row {
			folded += aff.Weights[j] * x
		}
		if math.Abs(folded-z[0]) > 1e-12*(1+math.Abs(z[0])) {
			t.Fatalf("row %v: steps %v, folded %v", row, z[0], folded)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*onnx.Graph)
		want   error
		says   string
	}{
		{"unknown operator", func(g *onnx.Graph) { g.Nodes[1].Op = "Relu" }, fhe.ErrUnsupported, `operator Relu, node 1 "scale"`},
		{"another domain", func(g *onnx.Graph) { g.Nodes[2].Domain = "ai.onnx.ml" }, fhe.ErrUnsupported, `operator Gemm, node 2 "dot"`},
		{"square", func(g *onnx.Graph) {
			g.Nodes[1] = onnx.Node{Name: "sq", Op: "Mul", Inputs: []string{"c", "c"}, Outputs: []string{"s"}}
		}, fhe.ErrUnsupported, "operator Mul"},
		{"branch", func(g *onnx.Graph) { g.Nodes[1].Inputs[0] = "X" }, fhe.ErrUnsupported, "more than one node"},
		{"divide by input", func(g *onnx.Graph) { g.Nodes[1].Inputs = []string{"dev", "c"} }, fhe.ErrUnsupported, "division"},
		{"divide by zero", func(g *onnx.Graph) { g.Tensors[1].Data[1] = 0 }, onnx.ErrInvalid, `"dev" is 0 at 1`},
		{"Sigmoid inside", func(g *onnx.Graph) {
			g.Nodes[1] = onnx.Node{Name: "hid", Op: "Sigmoid", Inputs: []string{"c"}, Outputs: []string{"s"}}
		}, fhe.ErrUnsupported, `Sigmoid "hid" is not the last step`},
		{"transA", func(g *onnx.Graph) {
			g.Nodes[2].Attributes["transA"] = onnx.Attribute{Type: onnx.AttrInt, Int: 1}
		}, fhe.ErrUnsupported, "transA"},
		{"wrong width", func(g *onnx.Graph) { g.Inputs[0].Dims[1] = 3 }, onnx.ErrInvalid, "has 3 columns"},
		{"missing constant", func(g *onnx.Graph) { g.Nodes[0].Inputs[1] = "nowhere" }, onnx.ErrInvalid, `"nowhere"`},
		{"integer constant", func(g *onnx.Graph) { g.Tensors[0].Type, g.Tensors[0].Data = 7, nil }, fhe.ErrUnsupported, "element type 7"},
		{"two outputs", func(g *onnx.Graph) { g.Outputs = append(g.Outputs, onnx.Value{Name: "z"}) }, fhe.ErrUnsupported, "2 outputs"},
		{"two inputs", func(g *onnx.Graph) { g.Inputs = append(g.Inputs, onnx.Value{Name: "Y"}) }, fhe.ErrUnsupported, "2 inputs"},
		{"image input", func(g *onnx.Graph) { g.Inputs[0].Dims = []int64{-1, 3, 8, 8} }, fhe.ErrUnsupported, "4 dimensions"},
		{"value twice", func(g *onnx.Graph) { g.Nodes[1].Outputs[0] = "c" }, onnx.ErrInvalid, "computed twice"},
		{"wide output", func(g *onnx.Graph) { g.Nodes, g.Outputs[0].Name = g.Nodes[:2], "s" }, fhe.ErrUnsupported, "2 columns"},
		{"no nodes", func(g *onnx.Graph) { g.Nodes = nil }, fhe.ErrUnsupported, "output"},
		{"no inputs to a node", func(g *onnx.Graph) { g.Nodes[2].Inputs = nil }, onnx.ErrInvalid, "0 inputs"},
		{"no outputs of a node", func(g *onnx.Graph) { g.Nodes[2].Outputs = nil }, onnx.ErrInvalid, "0 outputs"},
		{"input of integers", func(g *onnx.Graph) { g.Inputs[0].Type = 7 }, fhe.ErrUnsupported, "element type 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := logistic()
			c.change(&m.Graph)
			_, err := graph.Build(m)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
		})
	}
}

func TestRowsAreChecked(t *testing.T) {
	g, err := graph.Build(logistic())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row  []float64
		says string
	}{{[]float64{1}, "row 2 has 1 columns"}, {[]float64{1, math.NaN()}, "row 2, column 2 is NaN"}, {[]float64{math.Inf(-1), 1}, "row 2, column 1 is -Inf"}} {
		_, err := g.Eval([][]float64{{1, 1}, c.row})
		if !errors.Is(err, fhe.ErrRange) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v", c.row, err)
		}
	}
}

func TestFoldedWeightsMustBeFinite(t *testing.T) {
	m := logistic()
	m.Graph.Tensors[1].Data[0] = 1e-320
	m.Graph.Tensors[2].Data[0] = 1e300
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.Affine(); !errors.Is(err, fhe.ErrUnsupported) {
		t.Fatal(err)
	}
}

func TestSigmoidAtTheEnds(t *testing.T) {
	for _, c := range []struct{ z, want float64 }{{0, 0.5}, {1000, 1}, {-1000, 0}, {-25, 1.3887943864771144e-11}} {
		if got := graph.Sigmoid(c.z); math.Abs(got-c.want) > 1e-25 {
			t.Errorf("sigmoid(%v) = %v", c.z, got)
		}
	}
	if _, err := graph.Finish("softmax", []float64{1}); !errors.Is(err, fhe.ErrUnsupported) {
		t.Error(err)
	}
}

package onnx_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"cipherdeck/fhe/onnx"
	"cipherdeck/fhe/onnx/onnxtest"
)

// model has every kind of attribute and both element types.
func model() *onnx.Model {
	m := onnxtest.Logistic([]float64{1, 2}, []float64{3, 4}, []float64{0.5, -0.25}, 0.125)
	none := map[string]onnx.Attribute{}
	for i := range m.Graph.Nodes {
		if m.Graph.Nodes[i].Attributes == nil {
			m.Graph.Nodes[i].Attributes = none
		}
	}
	m.Graph.Nodes = append(m.Graph.Nodes, onnx.Node{Name: "k", Op: "Constant", Domain: "other", Outputs: []string{"k"},
		Attributes: map[string]onnx.Attribute{
			"f": {Type: onnx.AttrFloat, Float: 0.5}, "s": {Type: onnx.AttrString, String: "text"},
			"t":  {Type: onnx.AttrTensor, Tensor: &onnx.Tensor{Name: "t", Type: onnx.Float, Data: []float64{1.5}}},
			"fs": {Type: onnx.AttrFloats, Floats: []float64{1, 2}}, "is": {Type: onnx.AttrInts, Ints: []int64{-3, 4}},
		}})
	return m
}

func TestReadIsTheInverseOfWriting(t *testing.T) {
	for _, raw := range []bool{true, false} {
		want := model()
		got, err := onnx.Read(onnxtest.Write(want, raw))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("raw %v:\ngot  %+v\nwant %+v", raw, got, want)
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	whole := onnxtest.Write(model(), true)
	for n := range whole {
		if _, err := onnx.Read(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes were accepted", n, len(whole))
		}
	}
}

func TestOtherFilesAreNotONNX(t *testing.T) {
	for _, s := range []string{"", "\x00", "PK\x03\x04 a zip file", "{\"json\": true}", "\x89PNG\r\n\x1a\n", "age,sex\n1,2\n",
		string(onnxtest.Write(model(), true)[:60])} {
		if _, err := onnx.Read([]byte(s)); !errors.Is(err, onnx.ErrNotONNX) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// damaged applies a change to the model and returns its file.
func damaged(change func(*onnx.Model)) []byte {
	m := model()
	change(m)
	return onnxtest.Write(m, true)
}

func TestReadRefuses(t *testing.T) {
	weights := func(t *onnx.Model) *onnx.Tensor { return &t.Graph.Tensors[2] }
	with := func(field func(m *onnxtest.Message)) []byte {
		var top onnxtest.Message = damaged(func(*onnx.Model) {})
		field(&top)
		return top
	}
	var external, located, group, sparse, graphs onnxtest.Message
	tensor := onnxtest.Tensor(onnx.Tensor{Name: "w", Type: onnx.Float, Dims: []int64{1}, Data: []float64{1}}, true)
	external = append(external, tensor...)
	external.Bytes(13, nil)
	located = append(located, tensor...)
	located.Int(14, 1)
	wrap := func(n int, inner onnxtest.Message) []byte {
		var g, top onnxtest.Message
		g.Bytes(5, inner)
		if n != 5 {
			g = nil
			g.Bytes(15, inner)
		}
		top.Int(1, 8)
		var op onnxtest.Message
		op.Int(2, 13)
		top.Bytes(8, op)
		top.Bytes(7, g)
		return top
	}
	group = append(group, 0x3b) // field 7, start group
	graphs.Bytes(7, nil)
	for _, c := range []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"NaN weight", damaged(func(m *onnx.Model) { weights(m).Data[1] = math.NaN() }), onnx.ErrInvalid, `"w": ONNX file is damaged: tensor element 1`},
		{"infinite weight", damaged(func(m *onnx.Model) { weights(m).Data[0] = math.Inf(1) }), onnx.ErrInvalid, "element 0"},
		{"dims too small", damaged(func(m *onnx.Model) { weights(m).Dims[1] = 1 }), onnx.ErrInvalid, "its dims want 8"},
		{"dims overflow", damaged(func(m *onnx.Model) { weights(m).Dims = []int64{1 << 21, 1 << 21, 1 << 22} }), onnx.ErrLimit, "elements"},
		{"negative dim", damaged(func(m *onnx.Model) { weights(m).Dims[0] = -1 }), onnx.ErrLimit, "dims"},
		{"many dims", damaged(func(m *onnx.Model) { weights(m).Dims = make([]int64, 9) }), onnx.ErrLimit, "dims"},
		{"long name", damaged(func(m *onnx.Model) { m.Graph.Nodes[1].Name = strings.Repeat("x", 1025) }), onnx.ErrLimit, "node.name"},
		{"bad UTF-8", damaged(func(m *onnx.Model) { m.Graph.Nodes[1].Op = "\xff" }), onnx.ErrInvalid, "op_type"},
		{"no op", damaged(func(m *onnx.Model) { m.Graph.Nodes[1].Op = "" }), onnx.ErrInvalid, `graph.node 1 "scale"`},
		{"old IR", damaged(func(m *onnx.Model) { m.IR = 2 }), onnx.ErrUnsupported, "ir_version"},
		{"old opset", damaged(func(m *onnx.Model) { m.Opset = 6 }), onnx.ErrUnsupported, "opset_import"},
		{"external data", wrap(5, external), onnx.ErrUnsupported, "external_data"},
		{"data elsewhere", wrap(5, located), onnx.ErrUnsupported, "data_location"},
		{"sparse tensor", wrap(15, sparse), onnx.ErrUnsupported, "sparse_initializer"},
		{"group", with(func(m *onnxtest.Message) { *m = append(*m, group...) }), onnx.ErrInvalid, "wire type 3"},
		{"functions", with(func(m *onnxtest.Message) { m.Bytes(25, nil) }), onnx.ErrUnsupported, "field 25"},
		{"two graphs", with(func(m *onnxtest.Message) { *m = append(*m, graphs...) }), onnx.ErrInvalid, "2 times"},
		{"huge file", make([]byte, onnx.MaxFile+1), onnx.ErrLimit, "bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := onnx.Read(c.file)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
		})
	}
}

func TestTooManyNodes(t *testing.T) {
	file := damaged(func(m *onnx.Model) {
		for len(m.Graph.Nodes) <= onnx.MaxNodes {
			m.Graph.Nodes = append(m.Graph.Nodes, onnx.Node{Op: "Identity"})
		}
	})
	if _, err := onnx.Read(file); !errors.Is(err, onnx.ErrLimit) {
		t.Fatal(err)
	}
}

func FuzzRead(f *testing.F) {
	for _, raw := range []bool{true, false} {
		f.Add(onnxtest.Write(model(), raw))
	}
	f.Add([]byte("not a model"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Read(b)
		if err != nil {
			return
		}
		for _, tensor := range m.Graph.Tensors {
			for _, x := range tensor.Data {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					t.Fatalf("tensor %q has %g", tensor.Name, x)
				}
			}
		}
	})
}

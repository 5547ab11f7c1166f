// Package onnxtest writes ONNX files for tests, from the same types that
// onnx.Read fills.
package onnxtest

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"cipherdeck/fhe/onnx"
)

// Message is a protobuf message in the making.
type Message []byte

// Bytes appends a length-delimited field.
func (m *Message) Bytes(n protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, n, protowire.BytesType), b)
}

// Int appends a varint field.
func (m *Message) Int(n protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, n, protowire.VarintType), uint64(v))
}

// Float appends a 32-bit field.
func (m *Message) Float(n protowire.Number, v float64) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, n, protowire.Fixed32Type), math.Float32bits(float32(v)))
}

// Write encodes a model; raw says how tensors carry their numbers: raw_data, or
// the field of their type.
func Write(m *onnx.Model, raw bool) []byte {
	var g Message
	for _, n := range m.Graph.Nodes {
		g.Bytes(1, node(n, raw))
	}
	g.Bytes(2, []byte(m.Graph.Name))
	for _, t := range m.Graph.Tensors {
		g.Bytes(5, Tensor(t, raw))
	}
	for _, v := range m.Graph.Inputs {
		g.Bytes(11, value(v))
	}
	for _, v := range m.Graph.Outputs {
		g.Bytes(12, value(v))
	}
	var opset, out Message
	opset.Bytes(1, nil)
	opset.Int(2, m.Opset)
	out.Int(1, m.IR)
	out.Bytes(2, []byte(m.Producer))
	out.Bytes(7, g)
	out.Bytes(8, opset)
	return out
}

func node(n onnx.Node, raw bool) Message {
	var m Message
	for _, s := range n.Inputs {
		m.Bytes(1, []byte(s))
	}
	for _, s := range n.Outputs {
		m.Bytes(2, []byte(s))
	}
	m.Bytes(3, []byte(n.Name))
	m.Bytes(4, []byte(n.Op))
	var names []string
	for name := range n.Attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m.Bytes(5, attribute(name, n.Attributes[name], raw))
	}
	m.Bytes(7, []byte(n.Domain))
	return m
}

func attribute(name string, a onnx.Attribute, raw bool) Message {
	var m Message
	m.Bytes(1, []byte(name))
	switch a.Type {
	case onnx.AttrFloat:
		m.Float(2, a.Float)
	case onnx.AttrInt:
		m.Int(3, a.Int)
	case onnx.AttrString:
		m.Bytes(4, []byte(a.String))
	case onnx.AttrTensor:
		m.Bytes(5, Tensor(*a.Tensor, raw))
	case onnx.AttrFloats:
		for _, f := range a.Floats {
			m.Float(7, f)
		}
	case onnx.AttrInts:
		for _, i := range a.Ints {
			m.Int(8, i)
		}
	}
	m.Int(20, int64(a.Type))
	return m
}

// Tensor encodes one tensor.
func Tensor(t onnx.Tensor, raw bool) Message {
	var m Message
	for _, d := range t.Dims {
		m.Int(1, d)
	}
	m.Int(2, int64(t.Type))
	m.Bytes(8, []byte(t.Name))
	var data []byte
	at := protowire.Number(4)
	for _, x := range t.Data {
		if t.Type == onnx.Double {
			data, at = binary.LittleEndian.AppendUint64(data, math.Float64bits(x)), 10
		} else {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(x)))
		}
	}
	if raw {
		at = 9
	}
	m.Bytes(at, data)
	return m
}

func value(v onnx.Value) Message {
	var shape, tensor, typ, m Message
	for _, d := range v.Dims {
		var dim Message
		if d < 0 {
			dim.Bytes(2, []byte("N"))
		} else {
			dim.Int(1, d)
		}
		shape.Bytes(1, dim)
	}
	tensor.Int(1, int64(v.Type))
	if !v.Any {
		tensor.Bytes(2, shape)
	}
	typ.Bytes(1, tensor)
	m.Bytes(1, []byte(v.Name))
	m.Bytes(2, typ)
	return m
}

// Logistic is a logistic regression as exporters of scikit-learn write it:
// Sub(mean), Div(deviation), Gemm(transB), Sigmoid.
func Logistic(mean, deviation, weights []float64, bias float64) *onnx.Model {
	n := int64(len(weights))
	row := func(name string, data ...float64) onnx.Tensor {
		return onnx.Tensor{Name: name, Type: onnx.Double, Dims: []int64{1, int64(len(data))}, Data: data}
	}
	return &onnx.Model{IR: 8, Opset: 13, Producer: "onnxtest", Graph: onnx.Graph{
		Name:    "logistic",
		Inputs:  []onnx.Value{{Name: "X", Type: onnx.Double, Dims: []int64{-1, n}}},
		Outputs: []onnx.Value{{Name: "p", Type: onnx.Double, Dims: []int64{-1, 1}}},
		Tensors: []onnx.Tensor{row("mean", mean...), row("dev", deviation...), row("w", weights...),
			{Name: "b", Type: onnx.Double, Dims: []int64{1}, Data: []float64{bias}}},
		Nodes: []onnx.Node{
			{Name: "centre", Op: "Sub", Inputs: []string{"X", "mean"}, Outputs: []string{"c"}},
			{Name: "scale", Op: "Div", Inputs: []string{"c", "dev"}, Outputs: []string{"s"}},
			{Name: "dot", Op: "Gemm", Inputs: []string{"s", "w", "b"}, Outputs: []string{"z"},
				Attributes: map[string]onnx.Attribute{"transB": {Type: onnx.AttrInt, Int: 1}}},
			{Name: "final", Op: "Sigmoid", Inputs: []string{"z"}, Outputs: []string{"p"}},
		}}}
}

package graph

import (
	"fmt"

	"cipherdeck/fhe"
	"cipherdeck/fhe/onnx"
)

// builder follows the one computed value through the nodes.
type builder struct {
	g       *Graph
	consts  map[string]*onnx.Tensor
	current string // name of the value computed last
	passed  map[string]bool
	width   int    // of the current value, -1 while nothing has said it
	sigmoid string // node that ended the model, "" so far
}

// Build checks that a model is supported and turns it into steps. Errors wrap
// fhe.ErrUnsupported or onnx.ErrInvalid and name operator and node.
func Build(m *onnx.Model) (*Graph, error) {
	b := &builder{g: &Graph{Final: fhe.FinalNone}, consts: map[string]*onnx.Tensor{}, passed: map[string]bool{}}
	for i := range m.Graph.Tensors {
		t := &m.Graph.Tensors[i]
		if b.consts[t.Name] != nil || t.Name == "" {
			return nil, fmt.Errorf("%w: initializer %q is repeated or has no name", onnx.ErrInvalid, t.Name)
		}
		b.consts[t.Name] = t
	}
	if err := b.input(m.Graph.Inputs); err != nil {
		return nil, err
	}
	for i, n := range m.Graph.Nodes {
		if err := b.node(n); err != nil {
			return nil, fmt.Errorf("operator %s, node %d %q: %w", n.Op, i, n.Name, err)
		}
		b.g.Nodes = append(b.g.Nodes, n.Op+" "+n.Name)
	}
	return b.finish(m.Graph.Outputs)
}

// input finds the one input that is not an initializer.
func (b *builder) input(values []onnx.Value) error {
	var real []onnx.Value
	for _, v := range values {
		if b.consts[v.Name] == nil {
			real = append(real, v)
		}
	}
	if len(real) != 1 {
		return fmt.Errorf("%w: graph has %d inputs, want 1", fhe.ErrUnsupported, len(real))
	}
	v := real[0]
	b.current, b.width = v.Name, -1
	if v.Type != 0 && v.Type != onnx.Float && v.Type != onnx.Double {
		return fmt.Errorf("%w: input %q has element type %d, want FLOAT or DOUBLE", fhe.ErrUnsupported, v.Name, v.Type)
	}
	if v.Any {
		return nil
	}
	if len(v.Dims) != 2 {
		return fmt.Errorf("%w: input %q has %d dimensions, want 2: rows, features", fhe.ErrUnsupported, v.Name, len(v.Dims))
	}
	if v.Dims[1] > 0 {
		b.width = int(v.Dims[1])
		b.g.Features = b.width
	}
	return nil
}

func (b *builder) node(n onnx.Node) error {
	if n.Domain != "" && n.Domain != "ai.onnx" {
		return fmt.Errorf("%w: domain %q", fhe.ErrUnsupported, n.Domain)
	}
	build, known := map[string]func(onnx.Node) error{
		"Add": b.elementwise, "Sub": b.elementwise, "Mul": b.elementwise, "Div": b.elementwise,
		"MatMul": b.matMul, "Gemm": b.gemm, "Sigmoid": b.finalSigmoid, "Identity": b.identity, "Constant": b.constant,
	}[n.Op]
	if !known {
		return fmt.Errorf("%w: supported are Add, Sub, Mul, Div, MatMul, Gemm, Identity, Constant and a final Sigmoid", fhe.ErrUnsupported)
	}
	if len(n.Outputs) != 1 || n.Outputs[0] == "" {
		return fmt.Errorf("%w: node has %d outputs, want 1", onnx.ErrInvalid, len(n.Outputs))
	}
	if out := n.Outputs[0]; out == b.current || b.passed[out] || b.consts[out] != nil {
		return fmt.Errorf("%w: value %q is computed twice", onnx.ErrInvalid, out)
	}
	return build(n)
}

// operands returns the constant among two inputs, and whether it comes first;
// the other must be the current value.
func (b *builder) operands(n onnx.Node) (c *onnx.Tensor, first bool, err error) {
	if len(n.Inputs) < 2 {
		return nil, false, fmt.Errorf("%w: node has %d inputs, want 2", onnx.ErrInvalid, len(n.Inputs))
	}
	data, constant := n.Inputs[0], n.Inputs[1]
	if b.consts[data] != nil {
		data, constant, first = constant, data, true
	}
	if err := b.use(data); err != nil {
		return nil, false, err
	}
	c, err = b.constantNamed(constant)
	return c, first, err
}

// use checks that data is the value computed last, before the final step.
func (b *builder) use(data string) error {
	switch {
	case b.consts[data] != nil:
		return fmt.Errorf("%w: all inputs are constants", fhe.ErrUnsupported)
	case b.passed[data]:
		return fmt.Errorf("%w: value %q is used by more than one node", fhe.ErrUnsupported, data)
	case data != b.current:
		return fmt.Errorf("%w: value %q is not computed before", onnx.ErrInvalid, data)
	case b.sigmoid != "":
		return fmt.Errorf("%w: Sigmoid %q is not the last step", fhe.ErrUnsupported, b.sigmoid)
	}
	return nil
}

func (b *builder) constantNamed(name string) (*onnx.Tensor, error) {
	c := b.consts[name]
	if c == nil {
		if name == b.current || b.passed[name] {
			return nil, fmt.Errorf("%w: value %q is computed from the input, want a constant", fhe.ErrUnsupported, name)
		}
		return nil, fmt.Errorf("%w: constant %q is not in the file", onnx.ErrInvalid, name)
	}
	if c.Data == nil {
		return nil, fmt.Errorf("%w: constant %q has element type %d, want FLOAT or DOUBLE", fhe.ErrUnsupported, name, c.Type)
	}
	return c, nil
}

// push appends a step whose output is named out.
func (b *builder) push(s step, out string) {
	b.g.steps = append(b.g.steps, s)
	b.width = s.out
	b.rename(out)
}

func (b *builder) rename(out string) {
	b.passed[b.current] = true
	b.current = out
}

// accept fixes the width of the current value, or checks it.
func (b *builder) accept(width int) error {
	if b.width < 0 {
		b.width, b.g.Features = width, width
	}
	if b.width != width {
		return fmt.Errorf("%w: value %q has %d columns, the constant wants %d", onnx.ErrInvalid, b.current, b.width, width)
	}
	return nil
}

func (b *builder) finish(outputs []onnx.Value) (*Graph, error) {
	if len(outputs) != 1 || outputs[0].Name != b.current {
		return nil, fmt.Errorf("%w: graph has %d outputs, want 1: the last value computed, %q", fhe.ErrUnsupported, len(outputs), b.current)
	}
	if b.width != 1 {
		return nil, fmt.Errorf("%w: output %q has %d columns, want 1", fhe.ErrUnsupported, b.current, b.width)
	}
	return b.g, nil
}

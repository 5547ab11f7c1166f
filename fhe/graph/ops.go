package graph

import (
	"fmt"
	"math"

	"cipherdeck/fhe"
	"cipherdeck/fhe/onnx"
)

// vector reads a constant that is broadcast over rows: a scalar, or one value
// a column, with any leading dimensions of one.
func (b *builder) vector(t *onnx.Tensor) ([]float64, error) {
	n := len(t.Data)
	for i, d := range t.Dims {
		if i < len(t.Dims)-1 && d != 1 || len(t.Dims) > 2 {
			return nil, fmt.Errorf("%w: constant %q has dims %v, want one value a column", fhe.ErrUnsupported, t.Name, t.Dims)
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: constant %q is empty", onnx.ErrInvalid, t.Name)
	}
	if n > 1 {
		return t.Data, b.accept(n)
	}
	if b.width < 0 {
		return nil, fmt.Errorf("%w: input %q does not say how many features it has", fhe.ErrUnsupported, b.current)
	}
	return t.Data, nil
}

func (b *builder) elementwise(n onnx.Node) error {
	if len(n.Inputs) != 2 || len(n.Attributes) != 0 {
		return fmt.Errorf("%w: node has %d inputs and %d attributes, want 2 and 0", onnx.ErrInvalid, len(n.Inputs), len(n.Attributes))
	}
	c, first, err := b.operands(n)
	if err != nil {
		return err
	}
	v, err := b.vector(c)
	if err != nil {
		return err
	}
	k := map[string]kind{"Add": add, "Sub": sub, "Mul": mul, "Div": div}[n.Op]
	switch {
	case first && k == div:
		return fmt.Errorf("%w: division by a computed value", fhe.ErrUnsupported)
	case first && k == sub:
		k = subOf
	case k == div:
		for i, d := range v {
			if d == 0 {
				return fmt.Errorf("%w: divisor %q is 0 at %d", onnx.ErrInvalid, c.Name, i)
			}
		}
	}
	b.push(step{kind: k, v: v, in: b.width, out: b.width}, n.Outputs[0])
	return nil
}

func (b *builder) matMul(n onnx.Node) error {
	if len(n.Inputs) != 2 || len(n.Attributes) != 0 {
		return fmt.Errorf("%w: node has %d inputs and %d attributes, want 2 and 0", onnx.ErrInvalid, len(n.Inputs), len(n.Attributes))
	}
	return b.weights(n, false, 1, n.Outputs[0])
}

// weights pushes x · scale·W, with W transposed first if asked.
func (b *builder) weights(n onnx.Node, transposed bool, scale float64, out string) error {
	c, first, err := b.operands(n)
	if err != nil {
		return err
	}
	if first {
		return fmt.Errorf("%w: the constant must be the second factor", fhe.ErrUnsupported)
	}
	if len(c.Dims) != 2 || len(c.Data) == 0 {
		return fmt.Errorf("%w: weights %q have dims %v, want two", fhe.ErrUnsupported, c.Name, c.Dims)
	}
	in, width := int(c.Dims[0]), int(c.Dims[1])
	if transposed {
		in, width = width, in
	}
	if err := b.accept(in); err != nil {
		return err
	}
	w := make([]float64, len(c.Data))
	for i := range in {
		for j := range width {
			at := i*width + j
			if transposed {
				at = j*in + i
			}
			w[i*width+j] = scale * c.Data[at]
		}
	}
	b.push(step{kind: matmul, w: w, in: in, out: width}, out)
	return nil
}

// gemm is alpha·x·W + beta·C (ONNX operator Gemm, transA = 0).
func (b *builder) gemm(n onnx.Node) error {
	if len(n.Inputs) < 2 || len(n.Inputs) > 3 {
		return fmt.Errorf("%w: node has %d inputs, want 2 or 3", onnx.ErrInvalid, len(n.Inputs))
	}
	alpha, beta, transposed := 1.0, 1.0, false
	for name, a := range n.Attributes {
		switch {
		case name == "alpha" && a.Type == onnx.AttrFloat && finite(a.Float):
			alpha = a.Float
		case name == "beta" && a.Type == onnx.AttrFloat && finite(a.Float):
			beta = a.Float
		case name == "transB" && a.Type == onnx.AttrInt && (a.Int == 0 || a.Int == 1):
			transposed = a.Int == 1
		case name == "transA" && a.Type == onnx.AttrInt && a.Int == 0:
		default:
			return fmt.Errorf("%w: attribute %s", fhe.ErrUnsupported, name)
		}
	}
	bias := len(n.Inputs) == 3 && n.Inputs[2] != ""
	out := n.Outputs[0]
	if err := b.weights(n, transposed, alpha, out); err != nil || !bias {
		return err
	}
	c, err := b.constantNamed(n.Inputs[2])
	if err != nil {
		return err
	}
	v, err := b.vector(c)
	if err != nil {
		return err
	}
	scaled := make([]float64, len(v))
	for i := range v {
		scaled[i] = beta * v[i]
	}
	b.g.steps = append(b.g.steps, step{kind: add, v: scaled, in: b.width, out: b.width})
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func (b *builder) finalSigmoid(n onnx.Node) error {
	if len(n.Inputs) != 1 {
		return fmt.Errorf("%w: node has %d inputs, want 1", onnx.ErrInvalid, len(n.Inputs))
	}
	if err := b.use(n.Inputs[0]); err != nil {
		return err
	}
	b.sigmoid, b.g.Final = n.Name, fhe.FinalSigmoid
	if b.sigmoid == "" {
		b.sigmoid = n.Outputs[0]
	}
	b.rename(n.Outputs[0])
	return nil
}

// identity renames a value, a constant or the final result alike.
func (b *builder) identity(n onnx.Node) error {
	if len(n.Inputs) != 1 {
		return fmt.Errorf("%w: node has %d inputs, want 1", onnx.ErrInvalid, len(n.Inputs))
	}
	if c := b.consts[n.Inputs[0]]; c != nil {
		b.consts[n.Outputs[0]] = c
		return nil
	}
	if n.Inputs[0] != b.current {
		return b.use(n.Inputs[0])
	}
	b.rename(n.Outputs[0])
	return nil
}

func (b *builder) constant(n onnx.Node) error {
	if len(n.Inputs) != 0 || len(n.Attributes) != 1 {
		return fmt.Errorf("%w: node has %d inputs and %d attributes, want 0 and 1", onnx.ErrInvalid, len(n.Inputs), len(n.Attributes))
	}
	t := onnx.Tensor{Name: n.Outputs[0], Type: onnx.Float}
	if a, ok := n.Attributes["value"]; ok && a.Tensor != nil {
		t = *a.Tensor
		t.Name = n.Outputs[0]
	} else if a, ok := n.Attributes["value_float"]; ok && a.Type == onnx.AttrFloat {
		t.Data = []float64{a.Float}
	} else if a, ok := n.Attributes["value_floats"]; ok && a.Type == onnx.AttrFloats {
		t.Data, t.Dims = a.Floats, []int64{int64(len(a.Floats))}
	} else {
		return fmt.Errorf("%w: constant is not a tensor or floats", fhe.ErrUnsupported)
	}
	for i, x := range t.Data {
		if !finite(x) {
			return fmt.Errorf("%w: constant element %d is %g", onnx.ErrInvalid, i, x)
		}
	}
	b.consts[t.Name] = &t
	return nil
}

// Package onnx reads ONNX model files without trusting them.
//
// The reader is written by hand on the protobuf wire format: the few messages
// that inference needs, each with an explicit list of fields it understands or
// may skip. A field that changes what a model means and is not understood
// (functions, subgraphs, sparse or external tensors, training information) is
// an error, never ignored. Field numbers are those of onnx.proto, IR version
// 3 to 13 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
package onnx

import (
	"errors"

	"cipherdeck/fhe"
)

// Limits on what a file may ask of memory and time.
const (
	MaxFile       = 64 << 20 // bytes
	MaxNodes      = 4096
	MaxTensors    = 4096
	MaxAttributes = 64 // of one node
	MaxNames      = 64 // inputs or outputs of one node
	MaxValues     = 64 // inputs or outputs of the graph; numbers in an attribute
	MaxDims       = 8
	MaxElements   = 1 << 22 // of one tensor
	MaxString     = 1024    // bytes of a name
	MinIR, MaxIR  = 3, 13
	MinOpset      = 7 // first with today's broadcasting
	MaxOpset      = 25
)

// The errors that Read wraps. Each message names the field; inside a node or a
// tensor it names that too.
var (
	ErrNotONNX = errors.New("not an ONNX file, or cut short")
	ErrLimit   = errors.New("ONNX file exceeds a limit")
	ErrInvalid = errors.New("ONNX file is damaged")
	// ErrUnsupported is fhe.ErrUnsupported: valid ONNX that is not understood.
	ErrUnsupported = fhe.ErrUnsupported
)

// Model is what a file says.
type Model struct {
	IR       int64
	Opset    int64  // version of the default operator set
	Producer string // name and version, "" when not said
	Graph    Graph
}

// Graph is a list of nodes in the file's order, which ONNX wants topological.
type Graph struct {
	Name    string
	Nodes   []Node
	Tensors []Tensor // initializers
	Inputs  []Value  // initializers may be listed here too
	Outputs []Value
}

// Node applies an operator.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attributes       map[string]Attribute
}

// Attribute is a named constant of a node; the field that Type says is set.
type Attribute struct {
	Type   AttributeType
	Float  float64
	Int    int64
	String string
	Tensor *Tensor
	Floats []float64
	Ints   []int64
}

// AttributeType is AttributeProto.AttributeType.
type AttributeType int64

// The attribute types that are read.
const (
	AttrFloat  AttributeType = 1
	AttrInt    AttributeType = 2
	AttrString AttributeType = 3
	AttrTensor AttributeType = 4
	AttrFloats AttributeType = 6
	AttrInts   AttributeType = 7
)

// DataType is TensorProto.DataType.
type DataType int64

// The element types that carry data here; tensors of other types keep their
// type and no data.
const (
	Float  DataType = 1
	Double DataType = 11
)

// Tensor is a constant: finite numbers in row-major order.
type Tensor struct {
	Name string
	Type DataType
	Dims []int64 // empty: a scalar
	Data []float64
}

// Value is an input or output of the graph.
type Value struct {
	Name string
	Type DataType // 0 when not said
	Dims []int64  // -1 where the size is a name or not said
	Any  bool     // no shape was given at all
}

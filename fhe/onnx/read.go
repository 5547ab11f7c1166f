package onnx

import (
	"fmt"
	"strings"
)

// Read decodes a model file. Errors wrap ErrNotONNX, ErrLimit, ErrInvalid or
// ErrUnsupported.
func Read(b []byte) (*Model, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, len(b), MaxFile)
	}
	var m Model
	var graph []byte
	graphs := 0
	opsets := map[string]int64{}
	err := fields(b, "model", func(f field) (err error) {
		var s string
		switch f.num {
		case 1:
			m.IR, err = f.int("model.ir_version")
		case 2, 3:
			s, err = f.text("model.producer")
			m.Producer = strings.TrimSpace(m.Producer + " " + s)
		case 7:
			graphs++
			graph, err = f.bytes("model.graph")
		case 8:
			err = opset(f, opsets)
		case 4, 5, 6, 14:
		default:
			return f.unknown("model")
		}
		return err
	})
	if m.IR == 0 || graphs == 0 {
		return nil, fmt.Errorf("%w: no ir_version and graph at its top (%v)", ErrNotONNX, err)
	}
	if err != nil {
		return nil, err
	}
	if err := m.versions(opsets, graphs); err != nil {
		return nil, err
	}
	m.Graph, err = readGraph(graph)
	return &m, err
}

// versions refuses a file from before or after what this reader knows.
func (m *Model) versions(opsets map[string]int64, graphs int) error {
	if graphs > 1 {
		return fmt.Errorf("%w: model.graph is there %d times", ErrInvalid, graphs)
	}
	if m.IR < MinIR || m.IR > MaxIR {
		return fmt.Errorf("%w: model.ir_version is %d, want %d to %d", ErrUnsupported, m.IR, MinIR, MaxIR)
	}
	m.Opset = opsets[""]
	if m.Opset < MinOpset || m.Opset > MaxOpset {
		return fmt.Errorf("%w: model.opset_import is version %d, want %d to %d", ErrUnsupported, m.Opset, MinOpset, MaxOpset)
	}
	return nil
}

func opset(f field, into map[string]int64) error {
	b, err := f.bytes("model.opset_import")
	if err != nil {
		return err
	}
	if len(into) >= MaxValues {
		return fmt.Errorf("%w: more than %d of model.opset_import", ErrLimit, MaxValues)
	}
	var domain string
	var version int64
	err = fields(b, "model.opset_import", func(f field) (err error) {
		switch f.num {
		case 1:
			domain, err = f.text("opset_import.domain")
		case 2:
			version, err = f.int("opset_import.version")
		default:
			return f.unknown("model.opset_import")
		}
		return err
	})
	if domain == "ai.onnx" { // another spelling of the default
		domain = ""
	}
	into[domain] = version
	return err
}

func readGraph(b []byte) (Graph, error) {
	var g Graph
	err := fields(b, "graph", func(f field) (err error) {
		switch f.num {
		case 1:
			err = g.addNode(f)
		case 2:
			g.Name, err = f.text("graph.name")
		case 5:
			err = g.addTensor(f)
		case 11:
			g.Inputs, err = addValue(g.Inputs, f, "graph.input")
		case 12:
			g.Outputs, err = addValue(g.Outputs, f, "graph.output")
		case 15:
			return fmt.Errorf("%w: graph.sparse_initializer", ErrUnsupported)
		default:
			if !f.skipped(10, 13, 16) { // doc_string, value_info, metadata_props
				return f.unknown("graph")
			}
		}
		return err
	})
	return g, err
}

func (g *Graph) addTensor(f field) error {
	b, err := f.bytes("graph.initializer")
	if err != nil {
		return err
	}
	if err := full(g.Tensors, MaxTensors, "graph.initializer"); err != nil {
		return err
	}
	t, err := tensor(b)
	if err != nil {
		return named("graph.initializer", len(g.Tensors), t.Name, err)
	}
	g.Tensors = append(g.Tensors, t)
	return nil
}

func (g *Graph) addNode(f field) error {
	b, err := f.bytes("graph.node")
	if err != nil {
		return err
	}
	if err := full(g.Nodes, MaxNodes, "graph.node"); err != nil {
		return err
	}
	n, err := readNode(b)
	if err != nil {
		if n.Op != "" {
			err = fmt.Errorf("op %s: %w", n.Op, err)
		}
		return named("graph.node", len(g.Nodes), n.Name, err)
	}
	g.Nodes = append(g.Nodes, n)
	return nil
}

// readNode leaves the attributes to the end, so that errors in them can name
// the operator whatever the order of fields.
func readNode(b []byte) (Node, error) {
	n := Node{Attributes: map[string]Attribute{}}
	var attributes [][]byte
	err := fields(b, "node", func(f field) (err error) {
		switch f.num {
		case 1:
			n.Inputs, err = addName(n.Inputs, f, "node.input")
		case 2:
			n.Outputs, err = addName(n.Outputs, f, "node.output")
		case 3:
			n.Name, err = f.text("node.name")
		case 4:
			n.Op, err = f.text("node.op_type")
		case 5:
			if err = full(attributes, MaxAttributes, "node.attribute"); err == nil {
				var a []byte
				a, err = f.bytes("node.attribute")
				attributes = append(attributes, a)
			}
		case 7:
			n.Domain, err = f.text("node.domain")
		default:
			if !f.skipped(6, 9) && len(f.b) > 0 { // an empty overload (8) means none
				return f.unknown("node")
			}
		}
		return err
	})
	if err != nil {
		return n, err
	}
	if n.Op == "" {
		return n, fmt.Errorf("%w: node.op_type is empty", ErrInvalid)
	}
	for _, a := range attributes {
		if err := n.addAttribute(a); err != nil {
			return n, err
		}
	}
	return n, nil
}

func addName(list []string, f field, at string) ([]string, error) {
	if err := full(list, MaxNames, at); err != nil {
		return nil, err
	}
	s, err := f.text(at)
	return append(list, s), err
}

func (n *Node) addAttribute(b []byte) error {
	name, a, err := readAttribute(b)
	if err != nil {
		return fmt.Errorf("attribute %q: %w", name, err)
	}
	if _, twice := n.Attributes[name]; twice || name == "" {
		return fmt.Errorf("%w: attribute %q is repeated or has no name", ErrInvalid, name)
	}
	n.Attributes[name] = a
	return nil
}

func readAttribute(b []byte) (string, Attribute, error) {
	var name string
	var a Attribute
	err := fields(b, "attribute", func(f field) (err error) {
		switch f.num {
		case 1:
			name, err = f.text("attribute.name")
		case 2:
			a.Float, err = f.float("attribute.f")
		case 3:
			a.Int, err = f.int("attribute.i")
		case 4:
			a.String, err = f.text("attribute.s")
		case 5:
			err = a.setTensor(f)
		case 7:
			err = a.addFloat(f)
		case 8:
			a.Ints, err = f.ints(a.Ints, MaxValues, "attribute.ints")
		case 20:
			var v int64
			v, err = f.int("attribute.type")
			a.Type = AttributeType(v)
		default:
			if f.num != 13 {
				return f.unknown("attribute")
			}
		}
		return err
	})
	if err == nil && a.Type == 0 {
		err = fmt.Errorf("%w: attribute.type is missing", ErrInvalid)
	}
	return name, a, err
}

func (a *Attribute) setTensor(f field) error {
	b, err := f.bytes("attribute.t")
	if err != nil {
		return err
	}
	t, err := tensor(b)
	a.Tensor = &t
	return err
}

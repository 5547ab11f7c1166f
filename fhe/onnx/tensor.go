package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// payload is the ways in which a tensor may carry its numbers.
type payload struct {
	raw             []byte
	hasRaw          bool
	floats, doubles []byte // little-endian, 4 or 8 bytes each
}

func tensor(b []byte) (Tensor, error) {
	var t Tensor
	var p payload
	err := fields(b, "tensor", func(f field) (err error) {
		switch f.num {
		case 1:
			t.Dims, err = f.ints(t.Dims, MaxDims, "tensor.dims")
		case 2:
			var v int64
			v, err = f.int("tensor.data_type")
			t.Type = DataType(v)
		case 4:
			p.floats, err = f.fixed(p.floats, 4, "tensor.float_data")
		case 8:
			t.Name, err = f.text("tensor.name")
		case 9:
			p.raw, err = f.bytes("tensor.raw_data")
			p.hasRaw = true
		case 10:
			p.doubles, err = f.fixed(p.doubles, 8, "tensor.double_data")
		case 13:
			return fmt.Errorf("%w: tensor.external_data: weights in another file are refused", ErrUnsupported)
		case 14:
			var v int64
			if v, err = f.int("tensor.data_location"); err == nil && v != 0 {
				return fmt.Errorf("%w: tensor.data_location: weights in another file are refused", ErrUnsupported)
			}
		default:
			if !f.skipped(5, 6, 7, 11, 12, 16) { // numbers of other types, documentation
				return f.unknown("tensor")
			}
		}
		return err
	})
	if err != nil {
		return t, err
	}
	return t, t.fill(p)
}

// fixed appends a repeated float or double, packed or not, as raw bytes.
func (f field) fixed(dst []byte, size int, at string) ([]byte, error) {
	switch {
	case f.kind == protowire.BytesType:
		dst = append(dst, f.b...)
	case f.kind == protowire.Fixed32Type && size == 4:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(f.u))
	case f.kind == protowire.Fixed64Type && size == 8:
		dst = binary.LittleEndian.AppendUint64(dst, f.u)
	default:
		return nil, fmt.Errorf("%w: %s has wire type %d", ErrInvalid, at, f.kind)
	}
	return dst, nil
}

// elements is the product of dims, within limits.
func elements(dims []int64) (int, error) {
	n := int64(1)
	for _, d := range dims {
		if d < 0 || d > MaxElements {
			return 0, fmt.Errorf("%w: tensor.dims has %d, want 0 to %d", ErrLimit, d, MaxElements)
		}
		if n *= d; n > MaxElements {
			return 0, fmt.Errorf("%w: tensor.dims: more than %d elements", ErrLimit, MaxElements)
		}
	}
	return int(n), nil
}

func (t *Tensor) fill(p payload) error {
	n, err := elements(t.Dims)
	if err != nil {
		return err
	}
	size, typed, other := 4, p.floats, p.doubles
	switch t.Type {
	case Float:
	case Double:
		size, typed, other = 8, p.doubles, p.floats
	default:
		return nil // whoever uses it refuses it, and can name the operator
	}
	if len(other) > 0 || p.hasRaw && len(typed) > 0 {
		return fmt.Errorf("%w: tensor carries its numbers twice", ErrInvalid)
	}
	src := typed
	if p.hasRaw {
		src = p.raw
	}
	if len(src) != n*size {
		return fmt.Errorf("%w: tensor has %d bytes of numbers, its dims want %d", ErrInvalid, len(src), n*size)
	}
	t.Data = make([]float64, n)
	for i := range t.Data {
		if size == 4 {
			t.Data[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		} else {
			t.Data[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		}
		if math.IsNaN(t.Data[i]) || math.IsInf(t.Data[i], 0) {
			return fmt.Errorf("%w: tensor element %d is %g", ErrInvalid, i, t.Data[i])
		}
	}
	return nil
}

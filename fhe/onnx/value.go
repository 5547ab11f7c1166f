package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
)

func (a *Attribute) addFloat(f field) error {
	raw, err := f.fixed(nil, 4, "attribute.floats")
	if err != nil {
		return err
	}
	if len(raw)%4 != 0 {
		return fmt.Errorf("%w: attribute.floats has %d bytes", ErrInvalid, len(raw))
	}
	if len(a.Floats)+len(raw)/4 > MaxValues {
		return fmt.Errorf("%w: more than %d of attribute.floats", ErrLimit, MaxValues)
	}
	for ; len(raw) > 0; raw = raw[4:] {
		a.Floats = append(a.Floats, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
	}
	return nil
}

func addValue(list []Value, f field, at string) ([]Value, error) {
	if err := full(list, MaxTensors, at); err != nil {
		return nil, err
	}
	b, err := f.bytes(at)
	if err != nil {
		return nil, err
	}
	v := Value{Any: true}
	err = fields(b, at, func(f field) (err error) {
		switch f.num {
		case 1:
			v.Name, err = f.text(at + ".name")
		case 2:
			err = v.readType(f, at+".type")
		default:
			if !f.skipped(3, 4) {
				return f.unknown(at)
			}
		}
		return err
	})
	return append(list, v), named(at, len(list), v.Name, err)
}

// readType reads TypeProto: only tensors are understood.
func (v *Value) readType(f field, at string) error {
	b, err := f.bytes(at)
	if err != nil {
		return err
	}
	return fields(b, at, func(f field) error {
		if f.num == 6 { // denotation
			return nil
		}
		if f.num != 1 {
			return fmt.Errorf("%w: %s is not a tensor", ErrUnsupported, at)
		}
		b, err := f.bytes(at + ".tensor_type")
		if err != nil {
			return err
		}
		return fields(b, at+".tensor_type", func(f field) (err error) {
			switch f.num {
			case 1:
				var t int64
				t, err = f.int(at + ".elem_type")
				v.Type = DataType(t)
			case 2:
				err = v.readShape(f, at+".shape")
			default:
				return f.unknown(at + ".tensor_type")
			}
			return err
		})
	})
}

func (v *Value) readShape(f field, at string) error {
	b, err := f.bytes(at)
	if err != nil {
		return err
	}
	v.Any = false
	return fields(b, at, func(f field) error {
		if f.num != 1 {
			return f.unknown(at)
		}
		if err := full(v.Dims, MaxDims, at); err != nil {
			return err
		}
		b, err := f.bytes(at + ".dim")
		if err != nil {
			return err
		}
		size := int64(-1)
		err = fields(b, at+".dim", func(f field) (err error) {
			switch f.num {
			case 1:
				size, err = f.int(at + ".dim_value")
			case 2, 3: // a name for a size, and its meaning
				_, err = f.text(at + ".dim_param")
			default:
				return f.unknown(at + ".dim")
			}
			return err
		})
		v.Dims = append(v.Dims, size)
		return err
	})
}

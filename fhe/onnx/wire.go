package onnx

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one decoded field of a message: u is set for the fixed and varint
// types, b for bytes.
type field struct {
	num  protowire.Number
	kind protowire.Type
	u    uint64
	b    []byte
}

// fields calls do for every field of message b. Groups are not part of ONNX and
// are refused, so nesting is only as deep as the functions of this package.
func fields(b []byte, at string, do func(f field) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %s: %v", ErrInvalid, at, protowire.ParseError(n))
		}
		b = b[n:]
		f := field{num: num, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.u = uint64(v)
		case protowire.Fixed64Type:
			f.u, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("%w: %s: field %d has wire type %d", ErrInvalid, at, num, kind)
		}
		if n < 0 {
			return fmt.Errorf("%w: %s: field %d: %v", ErrInvalid, at, num, protowire.ParseError(n))
		}
		b = b[n:]
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

func (f field) want(kind protowire.Type, at string) error {
	if f.kind != kind {
		return fmt.Errorf("%w: %s has wire type %d, want %d", ErrInvalid, at, f.kind, kind)
	}
	return nil
}

func (f field) bytes(at string) ([]byte, error) { return f.b, f.want(protowire.BytesType, at) }

func (f field) int(at string) (int64, error) {
	return int64(f.u), f.want(protowire.VarintType, at)
}

func (f field) float(at string) (float64, error) {
	return float64(math.Float32frombits(uint32(f.u))), f.want(protowire.Fixed32Type, at)
}

func (f field) text(at string) (string, error) {
	if err := f.want(protowire.BytesType, at); err != nil {
		return "", err
	}
	if len(f.b) > MaxString {
		return "", fmt.Errorf("%w: %s is %d bytes, at most %d", ErrLimit, at, len(f.b), MaxString)
	}
	if !utf8.Valid(f.b) {
		return "", fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, at)
	}
	return string(f.b), nil
}

// ints appends a repeated int64, packed or not.
func (f field) ints(dst []int64, limit int, at string) ([]int64, error) {
	if f.kind == protowire.VarintType {
		dst = append(dst, int64(f.u))
	} else {
		b, err := f.bytes(at)
		if err != nil {
			return nil, err
		}
		for len(b) > 0 && len(dst) <= limit {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return nil, fmt.Errorf("%w: %s: %v", ErrInvalid, at, protowire.ParseError(n))
			}
			dst, b = append(dst, int64(v)), b[n:]
		}
	}
	if len(dst) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d numbers", ErrLimit, at, limit)
	}
	return dst, nil
}

// unknown is the error for a field that is neither understood nor harmless.
func (f field) unknown(at string) error {
	return fmt.Errorf("%w: %s: field %d is not understood", ErrUnsupported, at, f.num)
}

// skipped reports whether f is one of the harmless fields of its message,
// such as documentation.
func (f field) skipped(harmless ...protowire.Number) bool {
	for _, n := range harmless {
		if f.num == n {
			return true
		}
	}
	return false
}

func full[T any](list []T, limit int, at string) error {
	if len(list) >= limit {
		return fmt.Errorf("%w: more than %d of %s", ErrLimit, limit, at)
	}
	return nil
}

// named puts the name of a node or tensor in front of an error.
func named(what string, i int, name string, err error) error {
	if err == nil || errors.Is(err, ErrNotONNX) {
		return err
	}
	return fmt.Errorf("%s %d %q: %w", what, i, name, err)
}

package doc

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrEncoding is wrapped by Decode when bytes are not the one deterministic
// encoding of the wanted type (RFC 8949 section 4.2.1): unknown or duplicate
// fields, indefinite lengths, wide integers, trailing bytes.
var ErrEncoding = errors.New("not deterministic CBOR of the expected shape")

// Raw is CBOR kept as it came, for a body whose shape another field decides.
type Raw = cbor.RawMessage

// Encode writes v in core deterministic CBOR.
func Encode(v any) ([]byte, error) {
	m, err := encMode()
	if err != nil {
		return nil, err
	}
	return m.Marshal(v)
}

// Decode reads bytes that Encode wrote into v, and nothing else: what decodes
// must encode to the same bytes again. Errors wrap ErrEncoding.
func Decode(b []byte, v any) error {
	if err := DecodeTrusted(b, v); err != nil {
		return err
	}
	again, err := Encode(v)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrEncoding, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: bytes differ from their canonical form", ErrEncoding)
	}
	return nil
}

// DecodeTrusted is Decode without the proof that b is the canonical form, for
// bytes whose hash is known from before. Errors wrap ErrEncoding.
func DecodeTrusted(b []byte, v any) error {
	m, err := decMode()
	if err != nil {
		return err
	}
	if err := m.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrEncoding, err)
	}
	return nil
}

func encMode() (cbor.EncMode, error) {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty
	return o.EncMode()
}

func decMode() (cbor.DecMode, error) {
	return cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   16,
		MaxArrayElements:  1 << 17,
		MaxMapPairs:       1 << 16,
	}.DecMode()
}

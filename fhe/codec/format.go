// Package codec holds the wire forms of encrypted inference: plan core, encoded
// model, batch of ciphertexts and result. docs/formats/fhe.md gives the bytes.
//
// Hostile bytes arrive here, so nothing is decoded by Lattigo's own
// unmarshalers (a truncated object overflows the stack of v5.0.7, and values
// are not range checked). A form has one exact length, known from the plan
// before anything is allocated; every coefficient is below its prime; there is
// one encoding of every value. Bytes that break a rule wrap fhe.ErrMalformed.
package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/tuneinsight/lattigo/v5/ring"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe"
	"cipherdeck/fhe/params"
)

// Kind says what a form carries.
type Kind uint8

// The kinds of forms.
const (
	KindBatch  Kind = 1 // inputs: one seeded ciphertext a feature
	KindResult Kind = 2 // one ciphertext, both halves
	KindModel  Kind = 3 // weights and bias as residues
)

// String is the word used in errors.
func (k Kind) String() string {
	return [...]string{"form", "batch", "result", "model"}[min(int(k), 3)]
}

// Sizes of the fixed parts, in bytes.
const (
	HeaderSize = params.HeaderSize
	SeedSize   = params.SeedSize
	MaxCore    = 64 << 10
	MaxModel   = HeaderSize + 8*params.MaxPrimes*(params.MaxFeatures+1)
)

const (
	magic   = "CDFH"
	version = 1
)

// Format is the wire form of one plan. It is immutable and may be shared.
type Format struct {
	Core   fhe.Core
	Ring   *ring.Ring // Z_Q[X]/(X^N+1) of the plan
	Digest id.ID      // of the plan core without its model
	widths []int      // bits of every prime
}

// New prepares the forms of a plan. A plan that params.CheckCore refuses is
// refused here with the same error.
func New(core fhe.Core) (*Format, error) {
	if err := params.CheckCore(core); err != nil {
		return nil, err
	}
	r, err := ring.NewRing(core.Params.N(), core.Params.Q)
	if err != nil {
		return nil, fmt.Errorf("%w: params: %v", fhe.ErrMalformed, err)
	}
	bare := core
	bare.Model = id.ID{}
	raw, err := doc.Encode(bare)
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	f := &Format{Core: core, Ring: r, Digest: id.Of(raw)}
	for _, q := range core.Params.Q {
		f.widths = append(f.widths, bits.Len64(q))
	}
	return f, nil
}

// EncodeCore writes the canonical bytes of a plan core and their name.
func EncodeCore(core fhe.Core) ([]byte, id.ID, error) {
	if err := params.CheckCore(core); err != nil {
		return nil, id.ID{}, err
	}
	b, err := doc.Encode(core)
	return b, id.Of(b), err
}

// DecodeCore reads what EncodeCore writes and checks it with params.CheckCore.
func DecodeCore(b []byte) (fhe.Core, error) {
	var c fhe.Core
	if len(b) > MaxCore {
		return c, fmt.Errorf("%w: plan is %d bytes, at most %d", fhe.ErrMalformed, len(b), MaxCore)
	}
	if err := doc.Decode(b, &c); err != nil {
		return c, fmt.Errorf("%w: plan: %v", fhe.ErrMalformed, err)
	}
	return c, params.CheckCore(c)
}

// header: magic ‖ version ‖ kind ‖ level ‖ 0 ‖ digest ‖ log_scale u32 ‖ count u32
func (f *Format) header(k Kind, level, count int) []byte {
	h := make([]byte, 0, HeaderSize)
	h = append(h, magic...)
	h = append(h, version, byte(k), byte(level), 0)
	h = append(h, f.Digest[:]...)
	h = binary.BigEndian.AppendUint32(h, uint32(f.Core.Params.LogScale))
	return binary.BigEndian.AppendUint32(h, uint32(count))
}

// open checks length and header and returns the body.
func (f *Format) open(b []byte, k Kind, level, count, size int) ([]byte, error) {
	if len(b) != size {
		return nil, fmt.Errorf("%w: %s is %d bytes, want %d", fhe.ErrMalformed, k, len(b), size)
	}
	want := f.header(k, level, count)
	for _, part := range []struct {
		name     string
		from, to int
	}{{"magic", 0, 4}, {"version", 4, 5}, {"kind", 5, 6}, {"level", 6, 7}, {"reserved byte", 7, 8},
		{"params digest", 8, 40}, {"log_scale", 40, 44}, {"count", 44, 48}} {
		if !bytes.Equal(b[part.from:part.to], want[part.from:part.to]) {
			return nil, fmt.Errorf("%w: %s: %s is %x, want %x", fhe.ErrMalformed, k, part.name,
				b[part.from:part.to], want[part.from:part.to])
		}
	}
	return b[HeaderSize:], nil
}

// Package wire reads and writes the byte forms of TPM 2.0: big-endian integers
// and sized buffers (TPM2B), back to back, with no padding (TPM 2.0 Library,
// Part 2, chapters 4 and 10).
//
// A Reader remembers the first thing that went wrong and reads zeros after it,
// so a parser is a straight list of fields with one check at the end. It is
// shared by the two ends that must not trust each other's bytes: the software
// TPM reading commands and the verifier reading quotes. Little does the same for
// logs, which are little-endian.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The errors of a Reader.
var (
	ErrShort    = errors.New("ends too early")
	ErrTrailing = errors.New("trailing bytes")
	ErrSize     = errors.New("sized buffer is longer than allowed")
)

// Algorithm, curve and structure identifiers (Part 2, tables 9, 10 and 19).
const (
	AlgRSA    = 0x0001
	AlgSHA1   = 0x0004
	AlgAES    = 0x0006
	AlgSHA256 = 0x000B
	AlgSHA384 = 0x000C
	AlgNull   = 0x0010
	AlgRSASSA = 0x0014
	AlgECDSA  = 0x0018
	AlgECC    = 0x0023
	AlgCFB    = 0x0043

	CurveP256 = 0x0003
	CurveP384 = 0x0004

	TagQuote   = 0x8018     // TPM_ST_ATTEST_QUOTE
	TagCertify = 0x8017     // TPM_ST_ATTEST_CERTIFY
	Magic      = 0xFF544347 // TPM_GENERATED_VALUE: made inside a TPM

	HandleOwner       = 0x40000001 // TPM_RH_OWNER
	HandleNull        = 0x40000007 // TPM_RH_NULL: its seed is another one after every reset
	HandleEndorsement = 0x4000000B // TPM_RH_ENDORSEMENT
)

// The object attributes used here (TPMA_OBJECT, Part 2, table 31).
const (
	AttrFixedTPM            = 1 << 1
	AttrFixedParent         = 1 << 4
	AttrSensitiveDataOrigin = 1 << 5
	AttrUserWithAuth        = 1 << 6
	AttrAdminWithPolicy     = 1 << 7
	AttrNoDA                = 1 << 10
	AttrRestricted          = 1 << 16
	AttrDecrypt             = 1 << 17
	AttrSign                = 1 << 18
)

// Reader walks over bytes. The slices it returns point into them.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads b from the start.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Take reads n bytes, or nothing when fewer are left.
func (r *Reader) Take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.fail(ErrShort)
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads a big-endian u16.
func (r *Reader) U16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// U32 reads a big-endian u32.
func (r *Reader) U32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// U64 reads a big-endian u64.
func (r *Reader) U64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Sized reads a TPM2B: a u16 length of at most max and that many bytes.
func (r *Reader) Sized(max int) []byte {
	n := int(r.U16())
	if n > max {
		r.fail(fmt.Errorf("%w: %d bytes, limit %d", ErrSize, n, max))
		return nil
	}
	return r.Take(n)
}

// Left is how many bytes are unread.
func (r *Reader) Left() int { return len(r.b) }

// Err is the first error so far.
func (r *Reader) Err() error { return r.err }

// End is the first error, or ErrTrailing when bytes are left over.
func (r *Reader) End() error {
	if r.err == nil && len(r.b) != 0 {
		return fmt.Errorf("%w: %d", ErrTrailing, len(r.b))
	}
	return r.err
}

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.b = nil
	}
}

// Sized appends x to b as a TPM2B. x must be shorter than 64 KiB.
func Sized(b, x []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(x)))
	return append(b, x...)
}

// U16s appends each value big-endian.
func U16s(b []byte, v ...uint16) []byte {
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

// U32s appends each value big-endian.
func U32s(b []byte, v ...uint32) []byte {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

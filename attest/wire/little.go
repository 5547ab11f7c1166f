package wire

import "encoding/binary"

// Little walks over little-endian bytes, as logs of firmware and kernel are
// written on x86 and ARM. It reads nothing after its first failure.
type Little struct {
	Left []byte // not read yet
	Bad  bool
}

// Take reads n bytes, or nothing when fewer are left.
func (r *Little) Take(n int) []byte {
	if r.Bad || n < 0 || n > len(r.Left) {
		r.Bad = true
		return nil
	}
	out := r.Left[:n:n]
	r.Left = r.Left[n:]
	return out
}

// U8 reads one byte.
func (r *Little) U8() int {
	if b := r.Take(1); b != nil {
		return int(b[0])
	}
	return 0
}

// U16 reads a u16.
func (r *Little) U16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// U32 reads a u32.
func (r *Little) U32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// U64 reads a u64.
func (r *Little) U64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Sized reads a u32 length of at most limit, and that many bytes.
func (r *Little) Sized(limit int) []byte {
	n := r.U32()
	if n > uint32(limit) {
		r.Bad = true
		return nil
	}
	return r.Take(int(n))
}

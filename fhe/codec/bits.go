package codec

import "encoding/binary"

// pack writes every v in width bits, least significant bit first, without
// gaps. len(v)·width is a multiple of 64 because N is; width ≤ 56.
func pack(dst []byte, v []uint64, width int) {
	var acc uint64
	fill, at := 0, 0
	for _, x := range v {
		acc |= x << fill
		if fill += width; fill >= 64 {
			binary.LittleEndian.PutUint64(dst[at:], acc)
			at += 8
			fill -= 64
			acc = x >> (width - fill)
		}
	}
}

// unpack reads what pack writes; it reports the first value that is not below
// q, or -1.
func unpack(v []uint64, src []byte, width int, q uint64) int {
	mask := uint64(1)<<width - 1
	var acc uint64
	have, at, bad := 0, 0, -1
	for i := range v {
		x := acc
		if have < width {
			acc = binary.LittleEndian.Uint64(src[at:])
			at += 8
			x |= acc << have
			acc >>= width - have
			have += 64
		} else {
			acc >>= width
		}
		have -= width
		if v[i] = x & mask; v[i] >= q && bad < 0 {
			bad = i
		}
	}
	return bad
}

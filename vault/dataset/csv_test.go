package dataset

import (
	"encoding/binary"
	"testing"
)

// Eight bytes at once find what one at a time finds, whatever stands beside it.
func TestSpecialsAreThoseOfTheTable(t *testing.T) {
	for _, comma := range []byte{',', ';', '\t', '|'} {
		s := &csvSplitter{special: [256]bool{'"': true, '\n': true, '\r': true}, comma: comma}
		s.special[comma] = true
		for x := range 256 {
			for _, beside := range []byte{0, 1, 0x7f, 0x80, 0xff, comma, comma ^ 1, '"', '"' + 1, '\n', '\r'} {
				for at := range 8 {
					var b [8]byte
					for i := range b {
						b[i] = beside
					}
					b[at] = byte(x)
					m := s.specials(binary.LittleEndian.Uint64(b[:]))
					for i := range b {
						if got := m>>(8*i+7)&1 == 1; got != s.special[b[i]] {
							t.Fatalf("delimiter %q: byte %#x at %d among %#x: special %v", comma, b[i], i, beside, got)
						}
					}
					if m&^0x8080808080808080 != 0 {
						t.Fatalf("bits that are no marks: %#x", m)
					}
				}
			}
		}
	}
}

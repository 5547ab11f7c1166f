package app

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"strings"

	"cipherdeck/attest"
	"cipherdeck/crypto/words"
)

// Words is an identity as eight words, 88 bits of it: what people compare.
func Words(f attest.Identity) string { return words.Fingerprint(f[:]) }

// Digits is an identity as twelve groups of five digits, for the telephone:
// each is five bytes of SHA-512 of it, modulo 100 000.
func Digits(f attest.Identity) string {
	sum := sha512.Sum512(f[:])
	var out []string
	for i := range 12 {
		var b [8]byte
		copy(b[3:], sum[i*5:i*5+5])
		out = append(out, fmt.Sprintf("%05d", binary.BigEndian.Uint64(b[:])%100000))
	}
	return strings.Join(out, " ")
}

const artWide, artHigh = 17, 9

// Art is an identity as a picture to recognise, not to compare: the walk of the
// drunken bishop, as OpenSSH draws host keys.
func Art(f attest.Identity) []string {
	var field [artHigh][artWide]int
	x, y := artWide/2, artHigh/2
	for _, b := range f {
		for range 4 {
			x += int(b&1)*2 - 1
			y += int(b>>1&1)*2 - 1
			x, y = min(max(x, 0), artWide-1), min(max(y, 0), artHigh-1)
			field[y][x]++
			b >>= 2
		}
	}
	const marks = " .o+=*BOX@%&#/^"
	out := []string{"+" + strings.Repeat("-", artWide) + "+"}
	for r, row := range field {
		line := []byte{'|'}
		for c, n := range row {
			mark := marks[min(n, len(marks)-1)]
			switch {
			case r == artHigh/2 && c == artWide/2:
				mark = 'S'
			case r == y && c == x:
				mark = 'E'
			}
			line = append(line, mark)
		}
		out = append(out, string(append(line, '|')))
	}
	return append(out, out[0])
}

package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
)

// Uniform expands a seed to one limb of a uniform polynomial, in the NTT
// domain (a bijection keeps uniform uniform). It is pinned for ever, because
// both sides must expand alike:
//
//	keystream = AES-256-CTR, key = seed, first counter block = u64be(limb) ‖ u64be(0)
//	candidate = the next 8 bytes, little-endian, cut to the bit length of q
//	value     = the candidate if below q, else try the next
//
// A seed is used for one ciphertext only: two with the same seed differ by the
// difference of their messages.
func Uniform(dst []uint64, seed *[SeedSize]byte, limb int, q uint64) {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		panic(err) // the key is 32 bytes by its type
	}
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[:], uint64(limb))
	stream := cipher.NewCTR(block, iv[:])
	mask := uint64(1)<<bits.Len64(q) - 1
	var buf [4096]byte
	for n := 0; n < len(dst); {
		clear(buf[:])
		stream.XORKeyStream(buf[:], buf[:])
		for at := 0; at < len(buf) && n < len(dst); at += 8 {
			x := binary.LittleEndian.Uint64(buf[at:]) & mask
			dst[n] = x
			if x < q {
				n++
			}
		}
	}
}

package holder

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"cipherdeck/fhe/codec"
)

// keystream is AES-256-CTR over zeros.
func keystream(key []byte) (cipher.Stream, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewCTR(block, make([]byte, aes.BlockSize)), nil
}

// expandSecret draws a uniform ternary polynomial: every coefficient is -1, 0
// or 1 with equal chance, from two bits of keystream, 3 thrown away. The key of
// the stream is HKDF-SHA-256 of the seed, bound to the plan's format digest.
func expandSecret(f *codec.Format, seed [codec.SeedSize]byte) ([][]uint64, error) {
	key, err := hkdf.Key(sha256.New, seed[:], nil, "cipherdeck/fhe/secret/v1"+string(f.Digest[:]), 32)
	if err != nil {
		return nil, fmt.Errorf("derive secret key: %w", err)
	}
	stream, err := keystream(key)
	if err != nil {
		return nil, fmt.Errorf("derive secret key: %w", err)
	}
	s := limbs(f.Core.Params.N(), len(f.Core.Params.Q))
	var one [1]byte
	for r := range s[0] {
		t := byte(3)
		for left := 0; t == 3; left -= 2 {
			if left == 0 {
				one[0] = 0
				stream.XORKeyStream(one[:], one[:])
				left = 8
			}
			t, one[0] = one[0]&3, one[0]>>2
		}
		for i, q := range f.Core.Params.Q {
			s[i][r] = residue(int64(t)-1, q)
		}
	}
	for i, sub := range f.Ring.SubRings {
		sub.NTT(s[i], s[i])
		sub.MForm(s[i], s[i])
	}
	return s, nil
}

// residue maps a value of magnitude below q to 0 … q-1 without a branch.
func residue(v int64, q uint64) uint64 { return uint64(v) + uint64(v>>63)&q }

// The error distribution: standard deviation 3.2, cut at six of them, as the
// security estimates assume.
const (
	sigma   = 3.2
	largest = 19
)

// gaussian is a cumulative table: a magnitude is how many thresholds a 63-bit
// uniform value reaches. All are compared for every sample, so time and memory
// access do not depend on the result. Table entries are float64 probabilities:
// within 2^-50 of the exact distribution.
type gaussian [largest]uint64

func newGaussian() (g gaussian) {
	var mass [largest + 1]float64
	total := 0.0
	for k := range mass {
		mass[k] = math.Exp(-float64(k*k) / (2 * sigma * sigma))
		if k > 0 {
			mass[k] *= 2 // both signs
		}
		total += mass[k]
	}
	below := 0.0
	for k := range g {
		below += mass[k]
		g[k] = uint64(below / total * (1 << 63))
	}
	return g
}

// add adds one sample to every value, from a stream with a fresh key.
func (g *gaussian) add(v []int64, stream cipher.Stream) {
	var buf [4096]byte
	for len(v) > 0 {
		clear(buf[:])
		stream.XORKeyStream(buf[:], buf[:])
		n := min(len(v), len(buf)/8)
		for i := range n {
			v[i] += g.sample(binary.LittleEndian.Uint64(buf[8*i:]))
		}
		v = v[n:]
	}
}

func (g *gaussian) sample(u uint64) int64 {
	sign, x := -int64(u&1), u>>1
	magnitude := int64(largest)
	for _, t := range g {
		_, under := bits.Sub64(x, t, 0)
		magnitude -= int64(under)
	}
	return magnitude ^ sign - sign
}

package dataset

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// sketch estimates how many different values it has seen: a HyperLogLog
// (Flajolet et al., 2007) with 4096 registers, read with the estimator of Ertl,
// "New cardinality estimation algorithms for HyperLogLog sketches",
// arXiv:1702.01284, algorithm 6. It needs neither bias tables nor a change of
// method for small numbers. Standard error 1.04/√4096 = 1.6 %.
type sketch struct {
	reg [1 << sketchBits]uint8
}

const (
	sketchBits = 12
	sketchRest = 64 - sketchBits
)

func (s *sketch) add(h uint64) {
	i := h >> sketchRest
	rank := uint8(bits.LeadingZeros64(h<<sketchBits|1<<(sketchBits-1))) + 1
	if rank > s.reg[i] {
		s.reg[i] = rank
	}
}

func (s *sketch) estimate() int64 {
	const m = 1 << sketchBits
	var count [sketchRest + 2]int
	for _, r := range s.reg {
		count[r]++
	}
	z := m * tau(1-float64(count[sketchRest+1])/m)
	for k := sketchRest; k >= 1; k-- {
		z = 0.5 * (z + float64(count[k]))
	}
	z += m * sigma(float64(count[0])/m)
	if math.IsInf(z, 1) {
		return 0
	}
	return int64(math.Round(m * m / (2 * math.Ln2) / z))
}

// sigma and tau are the series of the paper, summed until they stand still.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	z, y := x, 1.0
	for last := math.NaN(); z != last; y *= 2 {
		x, last = x*x, z
		z += x * y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z, y := 1-x, 1.0
	for last := math.NaN(); z != last; {
		x, last = math.Sqrt(x), z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}

// hash is a fast mixing of b by multiplication. It is not keyed: who chooses
// the data can make the estimate wrong, and has only lied to himself.
func hash(b []byte) uint64 {
	const p, q, r = 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03, 0xa0761d6478bd642f
	h := p ^ uint64(len(b))*q
	for len(b) > 8 {
		hi, lo := bits.Mul64(binary.LittleEndian.Uint64(b)^r, h^q)
		h = hi ^ lo
		b = b[8:]
	}
	hi, lo := bits.Mul64(tail(b)^r, h^p)
	hi, lo = bits.Mul64(hi^q, lo^r)
	return hi ^ lo
}

// tail is the at most 8 bytes of b as a number; the length is mixed in before.
func tail(b []byte) uint64 {
	switch n := len(b); {
	case n >= 8:
		return binary.LittleEndian.Uint64(b)
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	case n > 0:
		return uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	return 0
}

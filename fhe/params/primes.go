package params

import (
	"fmt"
	"math/big"
	"math/bits"

	"cipherdeck/fhe"
)

// Primes returns the count largest primes of exactly bitLen bits that are 1
// modulo 2^(logN+1), largest first: the same on every machine.
func Primes(logN, bitLen, count int) ([]uint64, error) {
	step := uint64(1) << (logN + 1)
	var out []uint64
	for q := uint64(1)<<bitLen - step + 1; len(out) < count; q -= step {
		if bits.Len64(q) != bitLen {
			return nil, fmt.Errorf("%w: fewer than %d primes of %d bits for log_n %d", fhe.ErrMalformed, count, bitLen, logN)
		}
		if suits(q, logN) {
			out = append(out, q)
		}
	}
	return out, nil
}

// suits: ProbablyPrime(0) is Baillie-PSW, which has no exception below 2^64.
func suits(q uint64, logN int) bool {
	n := bits.Len64(q)
	return n >= MinBits && n <= MaxBits && q%(2<<logN) == 1 && new(big.Int).SetUint64(q).ProbablyPrime(0)
}

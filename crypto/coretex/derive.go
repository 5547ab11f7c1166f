package coretex

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
)

// The errors that this package wraps; tell them apart with errors.Is.
var (
	ErrBits   = errors.New("Coretex has no RSA keys of this size")
	ErrKey    = errors.New("not a Coretex key")
	ErrSecret = errors.New("Coretex secret does not open with this key")
	ErrFile   = errors.New("not a file that Coretex encrypted")
)

// stream is Coretex's generator: SHA-256 of the secret, then of the digest
// before, and so on, byte after byte.
type stream struct {
	block [sha256.Size]byte
	used  int
}

func (s *stream) take(n int) []byte {
	out := make([]byte, 0, n)
	for len(out) < n {
		if s.used == len(s.block) {
			s.block, s.used = sha256.Sum256(s.block[:]), 0
		}
		k := copy(out[len(out):n], s.block[s.used:])
		out, s.used = out[:len(out)+k], s.used+k
	}
	return out
}

// RSA is the key that Coretex derives from secret: 2048 bits for a node, 3072
// and 4096 are possible, exponent 65537. It takes 0.1 to 2 s. Errors wrap ErrBits
// or are ctx's.
func RSA(ctx context.Context, secret string, bits int) (*rsa.PrivateKey, error) {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return nil, fmt.Errorf("%w: %d bits, choose 2048, 3072 or 4096", ErrBits, bits)
	}
	s := &stream{block: sha256.Sum256([]byte(secret))}
	p, err := s.prime(ctx, bits/2, nil)
	if err != nil {
		return nil, err
	}
	q, err := s.prime(ctx, bits/2, p)
	if err != nil {
		return nil, err
	}
	if p.Cmp(q) > 0 {
		p, q = q, p
	}
	return newKey(p, q)
}

const exponent = 65537

func newKey(p, q *big.Int) (*rsa.PrivateKey, error) {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	gcd := new(big.Int).GCD(nil, nil, p1, q1)
	lcm := new(big.Int).Div(new(big.Int).Mul(p1, q1), gcd)
	k := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(big.NewInt(exponent), lcm),
		Primes:    []*big.Int{p, q},
	}
	k.Precompute()
	return k, k.Validate()
}

// prime is PyCryptodome's generate_probable_prime: draw, set the top bit and
// the lowest, filter, test. p is the prime that the result must be far from,
// or nil.
func (s *stream) prime(ctx context.Context, bits int, p *big.Int) (*big.Int, error) {
	one := big.NewInt(1)
	least := new(big.Int).Sqrt(new(big.Int).Lsh(one, uint(2*bits-1)))
	apart := new(big.Int).Lsh(one, uint(bits-100))
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c := s.number(bits)
		c.SetBit(c.SetBit(c, bits-1, 1), 0, 1)
		coprime := new(big.Int).GCD(nil, nil, new(big.Int).Sub(c, one), big.NewInt(exponent)).Cmp(one) == 0
		far := p == nil || new(big.Int).Abs(new(big.Int).Sub(c, p)).Cmp(apart) > 0
		if c.Cmp(least) > 0 && coprime && far && s.isPrime(c) {
			return c, nil
		}
	}
}

// number draws a byte and then the rest; for a stream that is one draw.
func (s *stream) number(bits int) *big.Int { return new(big.Int).SetBytes(s.take(bits / 8)) }

// rounds is PyCryptodome's number of Miller-Rabin rounds for candidates of our
// sizes.
func rounds(bits int) int {
	switch {
	case bits < 1200:
		return 4
	case bits < 1700:
		return 3
	}
	return 2
}

// isPrime draws from s what PyCryptodome's test draws: a base for each round
// that a candidate lives through. Its trial division does nothing in Python 3
// (a lazy map that nobody reads), so composites draw bases as well; here a
// composite that fails any test after its first draw need not be computed
// further. The Lucas test that follows draws nothing; Go's is as good.
func (s *stream) isPrime(c *big.Int) bool {
	one := big.NewInt(1)
	last := new(big.Int).Sub(c, one)
	a := last.TrailingZeroBits()
	odd := new(big.Int).Rsh(last, a)
	for range rounds(c.BitLen()) {
		if !passes(c, last, odd, s.base(c, last), a) {
			return false
		}
	}
	return c.ProbablyPrime(0)
}

// base is a number from 2 to c-2, neither 1 nor c-1.
func (s *stream) base(c, last *big.Int) *big.Int {
	span := new(big.Int).Sub(c, big.NewInt(4)) // c-2 is the most, 2 the least
	for {
		b := s.number((span.BitLen() + 7) / 8 * 8)
		b.And(b, mask(span.BitLen()))
		if b.Cmp(span) > 0 {
			continue
		}
		if b.Add(b, big.NewInt(2)); b.Cmp(last) != 0 {
			return b
		}
	}
}

func mask(bits int) *big.Int {
	one := big.NewInt(1)
	return new(big.Int).Sub(new(big.Int).Lsh(one, uint(bits)), one)
}

// passes is one round of Miller-Rabin for c = odd·2^a + 1.
func passes(c, last, odd, base *big.Int, a uint) bool {
	one := big.NewInt(1)
	z := new(big.Int).Exp(base, odd, c)
	if z.Cmp(one) == 0 || z.Cmp(last) == 0 {
		return true
	}
	for i := uint(1); i < a; i++ {
		if z.Mod(z.Mul(z, z), c); z.Cmp(last) == 0 {
			return true
		}
		if z.Cmp(one) == 0 {
			return false
		}
	}
	return false
}

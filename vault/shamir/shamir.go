// Package shamir shares a secret so that any k of n shares give it back and
// fewer tell nothing about it (Adi Shamir, "How to share a secret", CACM 22,
// 1979).
//
// Each byte of the secret is the constant term of its own random polynomial of
// degree k-1 over GF(256); a share is the polynomials' values at one point x.
// The field is the one of AES, modulo x^8+x^4+x^3+x+1 (FIPS 197 section 4.2),
// as in SLIP-39. Products take the same time whatever is multiplied: there are
// no tables to look up.
//
// Shares carry no checksum and no name here: a wrong share gives a wrong secret,
// not an error. Package vault puts both around them. Shares are not verifiable:
// who deals them is trusted to deal them right.
package shamir

import (
	"errors"
	"fmt"
	"io"
)

// MaxShares is the most shares that Split deals.
const MaxShares = 16

// ErrShares is wrapped for numbers that do not fit, and shares that do not fit
// together.
var ErrShares = errors.New("shares are not acceptable")

// Share is one point of each polynomial.
type Share struct {
	X byte   // 1 to 255
	Y []byte // as long as the secret
}

// Split deals n shares of secret, any k of which give it back; 2 ≤ k ≤ n ≤ 16.
// rand gives the coefficients (crypto/rand.Reader outside tests), k-1 for each
// byte, lowest power first. Errors wrap ErrShares or are rand's.
func Split(rand io.Reader, secret []byte, k, n int) ([]Share, error) {
	if k < 2 || k > n || n > MaxShares || len(secret) == 0 {
		return nil, fmt.Errorf("%w: %d of %d of a secret of %d bytes, want 2 ≤ k ≤ n ≤ %d", ErrShares, k, n, len(secret), MaxShares)
	}
	shares := make([]Share, n)
	for i := range shares {
		shares[i] = Share{X: byte(i + 1), Y: make([]byte, len(secret))}
	}
	poly := make([]byte, k)
	defer clear(poly)
	for b, s := range secret {
		poly[0] = s
		if _, err := io.ReadFull(rand, poly[1:]); err != nil {
			return nil, err
		}
		for i := range shares {
			shares[i].Y[b] = eval(poly, shares[i].X)
		}
	}
	return shares, nil
}

// Combine gives back the secret from k or more shares of it. From fewer, or
// from shares of different secrets, it gives bytes that mean nothing. Errors
// wrap ErrShares.
func Combine(shares []Share) ([]byte, error) {
	if len(shares) < 2 {
		return nil, fmt.Errorf("%w: %d, want at least 2", ErrShares, len(shares))
	}
	seen := [256]bool{}
	for _, s := range shares {
		if s.X == 0 || seen[s.X] || len(s.Y) == 0 || len(s.Y) != len(shares[0].Y) {
			return nil, fmt.Errorf("%w: share %d is there twice, or is not of this set", ErrShares, s.X)
		}
		seen[s.X] = true
	}
	secret := make([]byte, len(shares[0].Y))
	for i, s := range shares {
		w := weight(shares, i)
		for b := range secret {
			secret[b] ^= mul(w, s.Y[b])
		}
	}
	return secret, nil
}

// weight is the Lagrange coefficient of share i at 0: Π xj/(xj-xi), j ≠ i.
func weight(shares []Share, i int) byte {
	num, den := byte(1), byte(1)
	for j, s := range shares {
		if j != i {
			num = mul(num, s.X)
			den = mul(den, s.X^shares[i].X)
		}
	}
	return mul(num, inverse(den))
}

// eval is the polynomial at x, by Horner's rule.
func eval(poly []byte, x byte) (y byte) {
	for i := len(poly) - 1; i >= 0; i-- {
		y = mul(y, x) ^ poly[i]
	}
	return y
}

// mul is the product in GF(256): eight conditional additions, the conditions as
// masks.
func mul(a, b byte) (p byte) {
	for range 8 {
		p ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return p
}

// inverse is a^254, which is 1/a, and 0 for 0.
func inverse(a byte) byte {
	r := byte(1)
	for range 7 { // 254 = 2+4+…+128
		a = mul(a, a)
		r = mul(r, a)
	}
	return r
}

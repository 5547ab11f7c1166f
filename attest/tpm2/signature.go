package tpm2

import (
	"crypto"
	"fmt"
	"math/big"

	"cipherdeck/attest/wire"
)

// Signature is a parsed TPMT_SIGNATURE: ECDSA (R and S) or RSASSA-PKCS1-v1_5.
type Signature struct {
	Hash crypto.Hash
	R, S *big.Int
	RSA  []byte

	lengths [2]int // of r and s as they were written, in bytes
}

// ParseSignature reads a TPMT_SIGNATURE. Errors wrap ErrAlgorithm or ErrSyntax.
func ParseSignature(b []byte) (Signature, error) {
	r := wire.NewReader(b)
	alg, hash := r.U16(), r.U16()
	s := Signature{Hash: hashOf(hash)}
	switch {
	case r.Err() != nil:
		return s, fmt.Errorf("%w: signature: %w", ErrSyntax, r.Err())
	case s.Hash == 0 || alg != wire.AlgECDSA && alg != wire.AlgRSASSA:
		return s, fmt.Errorf("%w: signature %04x with hash %04x, want ECDSA or RSASSA with SHA-256 or SHA-384", ErrAlgorithm, alg, hash)
	case alg == wire.AlgRSASSA:
		s.RSA = r.Sized(512)
		if err := r.End(); err != nil {
			return s, fmt.Errorf("%w: signature: %w", ErrSyntax, err)
		}
		return s, nil
	}
	return s, s.parseECDSA(r)
}

func (s *Signature) parseECDSA(r *wire.Reader) error {
	rr, err1 := number(r)
	ss, err2 := number(r)
	for _, err := range []error{r.End(), err1, err2} {
		if err != nil {
			return fmt.Errorf("%w: signature: %w", ErrSyntax, err)
		}
	}
	s.R, s.S = new(big.Int).SetBytes(rr), new(big.Int).SetBytes(ss)
	s.lengths = [2]int{len(rr), len(ss)}
	if s.R.Sign() == 0 || s.S.Sign() == 0 {
		return fmt.Errorf("%w: signature: r or s is zero", ErrSyntax)
	}
	return nil
}

// fits reports whether r and s are written as a key of size bytes has them: in
// full length, or trimmed of all leading zeros, since some TPMs trim.
func (s Signature) fits(size int) bool {
	for i, n := range []*big.Int{s.R, s.S} {
		if l := s.lengths[i]; l != size && (l > size || l != (n.BitLen()+7)/8) {
			return false
		}
	}
	return true
}

// number reads r or s: of 32 or 48 bytes, or trimmed of all leading zeros. Which
// of them is right depends on the key: see fits.
func number(r *wire.Reader) ([]byte, error) {
	b := r.Sized(48)
	if len(b) != 32 && len(b) != 48 && (len(b) == 0 || b[0] == 0) {
		return nil, fmt.Errorf("number of %d bytes is not canonical", len(b))
	}
	return b, nil
}

package tpm2

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"math/big"

	"cipherdeck/attest/wire"
)

// public is a parsed TPMT_PUBLIC of a key pair (Part 2, 12.2.4).
type public struct {
	nameAlg uint16
	attrs   uint32
	policy  []byte
	sym     uint16 // 0x10: none, so no storage key
	symBits uint16
	symMode uint16
	scheme  uint16
	hash    uint16           // of the scheme
	key     crypto.PublicKey // *ecdsa.PublicKey or *rsa.PublicKey
	name    []byte           // recomputed, never taken from outside
}

// Smallest RSA key, in bits. The exponent is always 65537.
const minRSA = 2048

// parsePublic reads a TPMT_PUBLIC in its one encoding. Errors wrap ErrSyntax or
// ErrAlgorithm.
func parsePublic(b []byte) (public, error) {
	r := wire.NewReader(b)
	typ := r.U16()
	p := public{nameAlg: r.U16(), attrs: r.U32(), policy: r.Sized(sha512.Size384)}
	if p.sym = r.U16(); p.sym != wire.AlgNull {
		p.symBits = r.U16()
		p.symMode = r.U16()
	}
	if p.scheme = r.U16(); p.scheme != wire.AlgNull {
		p.hash = r.U16()
	}
	var err error
	switch {
	case r.Err() != nil:
		return p, fmt.Errorf("%w: public area: %w", ErrSyntax, r.Err())
	case p.nameAlg != wire.AlgSHA256 && p.nameAlg != wire.AlgSHA384:
		return p, fmt.Errorf("%w: named with %04x, want %04x or %04x", ErrAlgorithm, p.nameAlg, wire.AlgSHA256, wire.AlgSHA384)
	case typ == wire.AlgECC:
		p.key, err = parsePoint(r)
	case typ == wire.AlgRSA:
		p.key, err = parseModulus(r)
	default:
		return p, fmt.Errorf("%w: key of type %04x, want %04x or %04x", ErrAlgorithm, typ, wire.AlgECC, wire.AlgRSA)
	}
	if err != nil {
		return p, err
	}
	p.name = name(p.nameAlg, b)
	return p, nil
}

func parsePoint(r *wire.Reader) (*ecdsa.PublicKey, error) {
	id, kdf := r.U16(), r.U16()
	if r.Err() == nil && (id != wire.CurveP256 && id != wire.CurveP384 || kdf != wire.AlgNull) {
		return nil, fmt.Errorf("%w: curve %04x with KDF %04x, want P-256 or P-384 without", ErrAlgorithm, id, kdf)
	}
	curve, size := elliptic.P256(), 32
	if id == wire.CurveP384 {
		curve, size = elliptic.P384(), 48
	}
	x, err1 := scalar(r, size)
	y, err2 := scalar(r, size)
	for _, err := range []error{r.Err(), err1, err2, r.End()} {
		if err != nil {
			return nil, fmt.Errorf("%w: public area: %w", ErrSyntax, err)
		}
	}
	point := make([]byte, 1+2*size)
	point[0] = 4
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fmt.Errorf("%w: public area: point is not on %s", ErrSyntax, curve.Params().Name)
	}
	return key, nil
}

func parseModulus(r *wire.Reader) (*rsa.PublicKey, error) {
	bits, exponent := r.U16(), r.U32()
	n := r.Sized(512)
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: public area: %w", ErrSyntax, err)
	}
	k := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	switch {
	case exponent != 0: // 0 stands for 65537; nothing else is in use
		return nil, fmt.Errorf("%w: RSA exponent %d, want the default", ErrAlgorithm, exponent)
	case bits < minRSA:
		return nil, fmt.Errorf("%w: RSA of %d bits, want at least %d", ErrAlgorithm, bits, minRSA)
	case len(n) != int(bits)/8 || k.N.BitLen() != int(bits) || n[len(n)-1]&1 == 0:
		return nil, fmt.Errorf("%w: public area: RSA modulus of %d bits, want %d and odd", ErrSyntax, k.N.BitLen(), bits)
	}
	return k, nil
}

// scalar reads a number below 2^(8·size): size bytes, or fewer without leading
// zeros, since some TPMs trim. Nothing else, so that there is one encoding.
func scalar(r *wire.Reader, size int) ([]byte, error) {
	b := r.Sized(size)
	if len(b) < size && (len(b) == 0 || b[0] == 0) {
		return nil, fmt.Errorf("number of %d bytes is not canonical", len(b))
	}
	return b, nil
}

// name is a TPM name: a hash behind its algorithm (Part 1, section 16).
func name(alg uint16, b []byte) []byte {
	if alg == wire.AlgSHA384 {
		sum := sha512.Sum384(b)
		return append(wire.U16s(nil, alg), sum[:]...)
	}
	sum := sha256.Sum256(b)
	return append(wire.U16s(nil, alg), sum[:]...)
}

// qualifiedName is the name of a primary key in the hierarchy of handle.
func qualifiedName(handle uint32, of []byte) []byte {
	alg := uint16(of[0])<<8 | uint16(of[1])
	return name(alg, append(wire.U32s(nil, handle), of...))
}

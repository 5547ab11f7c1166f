package keys

import (
	"bytes"
	"crypto/hpke"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// XWingSize is the length of an X-Wing public key in bytes: an ML-KEM-768
// encapsulation key (1184) and an X25519 point (32).
const XWingSize = 1216

const (
	minRSABits  = 2048
	maxRSABits  = 8192
	rsaExponent = 65537
)

// The errors that Check and the parsers wrap.
var (
	ErrRSA   = errors.New("RSA key is not acceptable")
	ErrXWing = errors.New("X-Wing key is not acceptable")
)

// Public is what others need to encrypt to an identity.
type Public struct {
	RSA   *rsa.PublicKey
	XWing []byte // XWingSize bytes
}

// Pair is the private half: it opens what was encrypted to its Public.
type Pair struct {
	RSA   *rsa.PrivateKey
	XWing hpke.PrivateKey
}

// String hides the pair, so that no log or error can show it by accident.
func (Pair) String() string { return "keys.Pair(hidden)" }

// GoString hides the pair from %#v.
func (p Pair) GoString() string { return p.String() }

// Public is the public half of p, which must hold both keys.
func (p Pair) Public() Public {
	return Public{RSA: &p.RSA.PublicKey, XWing: p.XWing.PublicKey().Bytes()}
}

// Check refuses keys that must not be used: RSA below 2048 or above 8192 bits,
// an exponent other than 65537, an X-Wing key of wrong length or encoding.
// Errors wrap ErrRSA or ErrXWing.
func (p Public) Check() error {
	if err := p.CheckRSA(); err != nil {
		return err
	}
	_, err := p.KEM()
	return err
}

// CheckRSA is Check for the RSA key alone.
func (p Public) CheckRSA() error { return checkRSA(p.RSA) }

// KEM is the X-Wing key in the form that crypto/hpke takes. Errors wrap ErrXWing.
func (p Public) KEM() (hpke.PublicKey, error) {
	if len(p.XWing) != XWingSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrXWing, len(p.XWing), XWingSize)
	}
	k, err := hpke.MLKEM768X25519().NewPublicKey(p.XWing)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrXWing, err)
	}
	return k, nil
}

// Marshal writes both keys: RSA as SubjectPublicKeyInfo DER, X-Wing raw.
func (p Public) Marshal() (spki, xwing []byte, err error) {
	if err := p.Check(); err != nil {
		return nil, nil, err
	}
	spki, err = x509.MarshalPKIXPublicKey(p.RSA)
	return spki, bytes.Clone(p.XWing), err
}

// ParsePublic reads what Marshal writes, in the one form that Marshal writes
// it, and checks it. Errors wrap ErrRSA or ErrXWing.
func ParsePublic(spki, xwing []byte) (Public, error) {
	if len(spki) > maxRSABits/8+512 { // before any arithmetic on hostile numbers
		return Public{}, fmt.Errorf("%w: %d bytes of DER, at most %d bits are allowed", ErrRSA, len(spki), maxRSABits)
	}
	k, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return Public{}, fmt.Errorf("%w: %v", ErrRSA, err)
	}
	r, ok := k.(*rsa.PublicKey)
	if !ok {
		return Public{}, fmt.Errorf("%w: the key is a %T", ErrRSA, k)
	}
	p := Public{RSA: r, XWing: bytes.Clone(xwing)}
	again, _, err := p.Marshal()
	if err != nil {
		return Public{}, err
	}
	if !bytes.Equal(again, spki) { // one key, one encoding, one key id
		return Public{}, fmt.Errorf("%w: not the canonical DER of the key", ErrRSA)
	}
	return p, nil
}

// Marshal writes the private keys: RSA as PKCS#8 DER, X-Wing as its 32-byte
// seed. The caller seals and wipes them.
func (p Pair) Marshal() (pkcs8, xwing []byte, err error) {
	if pkcs8, err = x509.MarshalPKCS8PrivateKey(p.RSA); err != nil {
		return nil, nil, err
	}
	xwing, err = p.XWing.Bytes()
	return pkcs8, xwing, err
}

// ParsePair reads what Pair.Marshal writes and checks it, so that a slow RSA
// key can be kept sealed instead of being derived again. Errors wrap ErrRSA or
// ErrXWing.
func ParsePair(pkcs8, xwing []byte) (Pair, error) {
	k, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return Pair{}, fmt.Errorf("%w: %v", ErrRSA, err)
	}
	r, ok := k.(*rsa.PrivateKey)
	if !ok {
		return Pair{}, fmt.Errorf("%w: the key is a %T", ErrRSA, k)
	}
	if err := checkRSA(&r.PublicKey); err != nil {
		return Pair{}, err
	}
	x, err := hpke.MLKEM768X25519().NewPrivateKey(xwing)
	if err != nil {
		return Pair{}, fmt.Errorf("%w: %v", ErrXWing, err)
	}
	return Pair{RSA: r, XWing: x}, nil
}

// RSAKeyID names the RSA key: the first 16 bytes of SHA-256 of its DER.
func (p Public) RSAKeyID() (doc.KeyID, error) { return doc.KeyIDOf(p.RSA) }

// XWingKeyID names the X-Wing key: the first 16 bytes of its SHA-256.
func (p Public) XWingKeyID() doc.KeyID {
	sum := sha256.Sum256(p.XWing)
	return doc.KeyID(sum[:16])
}

// Fingerprint names both keys together: SHA-256 over LP(SPKI) and LP(X-Wing).
func (p Public) Fingerprint() (id.ID, error) {
	spki, xwing, err := p.Marshal()
	if err != nil {
		return id.ID{}, err
	}
	return id.Of(doc.LP(spki, xwing)), nil
}

func checkRSA(k *rsa.PublicKey) error {
	switch {
	case k == nil || k.N == nil:
		return fmt.Errorf("%w: there is none", ErrRSA)
	case k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits:
		return fmt.Errorf("%w: %d bits, want %d to %d", ErrRSA, k.N.BitLen(), minRSABits, maxRSABits)
	case k.N.BitLen()%8 != 0:
		return fmt.Errorf("%w: %d bits, want a whole number of bytes", ErrRSA, k.N.BitLen())
	case k.N.Bit(0) == 0:
		return fmt.Errorf("%w: the modulus is even", ErrRSA)
	case k.E != rsaExponent:
		return fmt.Errorf("%w: exponent %d, want %d", ErrRSA, k.E, rsaExponent)
	}
	return nil
}

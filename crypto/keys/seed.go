package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rsa"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"strconv"

	"filippo.io/keygen"
	"filippo.io/mldsa"
)

// SeedSize is the length of a Seed in bytes.
const SeedSize = 32

// Seed is the root secret of an account: 32 uniformly random bytes. A typed
// secret is never a Seed.
type Seed [SeedSize]byte

// ErrBits is wrapped when an RSA size is not one that is offered.
var ErrBits = errors.New("RSA key size is not offered")

// String hides the seed, so that no log or error can show it by accident.
func (Seed) String() string { return "keys.Seed(hidden)" }

// GoString hides the seed from %#v.
func (s Seed) GoString() string { return s.String() }

// NewSeed reads a seed from rand, which must be a cryptographic source
// (crypto/rand.Reader outside tests).
func NewSeed(rand io.Reader) (Seed, error) {
	var s Seed
	if _, err := io.ReadFull(rand, s[:]); err != nil {
		return Seed{}, fmt.Errorf("new seed: %w", err)
	}
	return s, nil
}

// RSA derives the RSA pair of s with 2048, 3072, 4096 or 8192 bits, exponent
// 65537, by c2sp.org/det-keygen. The same seed gives unrelated keys at
// different sizes. Other sizes return an error that wraps ErrBits.
//
// Expect 0.1 s for 2048 bits, 0.25 s for 3072, 1 s for 4096 and half a minute
// for 8192. When ctx ends first its error is returned at once; the search
// itself cannot be interrupted and finishes unseen.
func RSA(ctx context.Context, s Seed, bits int) (*rsa.PrivateKey, error) {
	switch bits {
	case 2048, 3072, 4096, 8192:
	default:
		return nil, fmt.Errorf("%w: %d bits, choose 2048, 3072, 4096 or 8192", ErrBits, bits)
	}
	secret, err := s.derive("cipherdeck/v1/rsa/"+strconv.Itoa(bits), 32)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type made struct {
		key *rsa.PrivateKey
		err error
	}
	done := make(chan made, 1) // buffered: an abandoned search must not block for ever
	go func() {
		k, err := keygen.RSA(bits, secret)
		done <- made{k, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case m := <-done:
		return m.key, m.err
	}
}

// Ed25519 derives the signature key of s.
func Ed25519(s Seed) (ed25519.PrivateKey, error) {
	k, err := s.derive("cipherdeck/v1/ed25519", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(k), nil
}

// MLDSA derives the ML-DSA-65 signature key of s (FIPS 204; the seed is ξ of
// algorithm 6).
func MLDSA(s Seed) (*mldsa.PrivateKey, error) {
	k, err := s.derive("cipherdeck/v1/ml-dsa-65", mldsa.PrivateKeySize)
	if err != nil {
		return nil, err
	}
	return mldsa.NewPrivateKey(mldsa.MLDSA65(), k)
}

// XWing derives the X-Wing decryption key of s; its 32-byte form is the seed
// that draft-connolly-cfrg-xwing-kem calls the decapsulation key.
func XWing(s Seed) (hpke.PrivateKey, error) {
	k, err := s.derive("cipherdeck/v1/xwing", 32)
	if err != nil {
		return nil, err
	}
	return hpke.MLKEM768X25519().NewPrivateKey(k)
}

// FirstDevice derives the seed of device 0 of an account whose seed comes from a
// typed secret. Other accounts draw a seed for each device.
func FirstDevice(s Seed) (Seed, error) { return s.child("cipherdeck/v1/device-0") }

// SaltKey derives what doc.Same needs besides the RSA key of s.
func SaltKey(s Seed) ([32]byte, error) {
	k, err := s.child("cipherdeck/v1/pss-salt")
	return [32]byte(k), err
}

// NewPair derives the decryption identity of s: RSA of the given size, and
// X-Wing. It takes as long as RSA.
func NewPair(ctx context.Context, s Seed, bits int) (Pair, error) {
	r, err := RSA(ctx, s, bits)
	if err != nil {
		return Pair{}, err
	}
	x, err := XWing(s)
	if err != nil {
		return Pair{}, err
	}
	return Pair{RSA: r, XWing: x}, nil
}

func (s Seed) child(label string) (Seed, error) {
	b, err := s.derive(label, SeedSize)
	if err != nil {
		return Seed{}, err
	}
	defer clear(b)
	return Seed(b), nil
}

func (s Seed) derive(label string, n int) ([]byte, error) {
	k, err := hkdf.Key(sha512.New, s[:], nil, label, n)
	if err != nil {
		return nil, fmt.Errorf("derive %s: %w", label, err)
	}
	return k, nil
}

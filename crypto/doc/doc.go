// Package doc is the one signed envelope of cipherdeck.
//
// Links of a chain, grants, jobs, results and manifests are all a Signed: a
// type, a body in deterministic CBOR, and signatures over
//
//	LP("cipherdeck/doc/v1") ‖ LP(type) ‖ LP(body)      LP(x) = u32 length ‖ x
//
// The bytes that were signed are the bytes that are stored; nothing is ever
// re-encoded before it is checked. The type is signed, so a document cannot be
// passed off as one of another kind. A document is named by the SHA-256 of its
// whole envelope, signatures included.
package doc

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"

	"cipherdeck/crypto/id"
)

// The errors that Open wraps.
var (
	ErrTooLarge  = errors.New("signed document is larger than allowed")
	ErrType      = errors.New("signed document has another type")
	ErrUnsigned  = errors.New("signed document carries no signature, or one twice")
	ErrSignature = errors.New("signature does not verify")
	ErrKey       = errors.New("unsupported signature key")
)

const domain = "cipherdeck/doc/v1"

// saltSize is the length of the salt of RSA-PSS in bytes.
const saltSize = 32

// maxSigs bounds the work that hostile bytes can ask for.
const maxSigs = 16

// KeyID is the first 16 bytes of the SHA-256 of a public key in PKIX form
// (SubjectPublicKeyInfo DER). It finds a key; it proves nothing.
type KeyID [16]byte

// String is the hex of k.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// Sig is one signature. The algorithm is not written down: the key decides it
// (Ed25519; ML-DSA-65 of FIPS 204 with an empty context; or RSA-PSS with SHA-256
// and a 32-byte salt).
type Sig struct {
	_   struct{} `cbor:",toarray"`
	Key KeyID
	Sig []byte
}

// Signed is an opened envelope.
type Signed struct {
	_    struct{} `cbor:",toarray"`
	Type string
	Body []byte
	Sigs []Sig
}

// KeyFunc finds the public key for k: an ed25519.PublicKey, *mldsa.PublicKey or
// *rsa.PublicKey.
// body is the not yet verified body, for documents that carry their own keys.
type KeyFunc func(k KeyID, body []byte) (crypto.PublicKey, error)

// KeyIDOf names a public key. Errors wrap ErrKey.
func KeyIDOf(pub crypto.PublicKey) (KeyID, error) {
	der, err := marshalPKIX(pub)
	if err != nil {
		return KeyID{}, fmt.Errorf("%w: %v", ErrKey, err)
	}
	sum := sha256.Sum256(der)
	return KeyID(sum[:16]), nil
}

func marshalPKIX(pub crypto.PublicKey) ([]byte, error) {
	if k, ok := pub.(*mldsa.PublicKey); ok {
		return mldsax509.MarshalPKIXPublicKey(k) // RFC 9881
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// Keys is a KeyFunc over a fixed set of keys.
func Keys(pubs ...crypto.PublicKey) KeyFunc {
	return func(k KeyID, _ []byte) (crypto.PublicKey, error) {
		for _, p := range pubs {
			if got, err := KeyIDOf(p); err == nil && got == k {
				return p, nil
			}
		}
		return nil, fmt.Errorf("%w: key %s is not an expected signer", ErrSignature, k)
	}
}

// Same is an RSA key that signs the same document to the same bytes each time,
// for an identity that has to come out alike on two machines. Its PSS salt is
// HMAC-SHA-256(Salt, what is signed) instead of 32 random bytes. Salt is 32 secret
// bytes that belong to the key, so that for everybody else the signature is as
// random as any; it is verified as any.
type Same struct {
	*rsa.PrivateKey
	Salt [32]byte
}

// String hides the key, so that no log or error can show it by accident.
func (Same) String() string { return "doc.Same(hidden)" }

// GoString hides the key from %#v.
func (s Same) GoString() string { return s.String() }

// fixed is a source of random bytes that gives the same 32 bytes.
type fixed []byte

func (f fixed) Read(p []byte) (int, error) { return copy(p, f), nil }

// Sign encodes body and signs it with every signer, in order. Signers are
// ed25519.PrivateKey, *mldsa.PrivateKey of ML-DSA-65, *rsa.PrivateKey or Same. The
// first two sign the same document to the same bytes each time.
func Sign(typ string, body any, signers ...crypto.Signer) ([]byte, error) {
	b, err := Encode(body)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", typ, err)
	}
	s := Signed{Type: typ, Body: b}
	msg := preimage(typ, b)
	for _, k := range signers {
		sig, err := sign(k, msg)
		if err != nil {
			return nil, fmt.Errorf("sign %s: %w", typ, err)
		}
		s.Sigs = append(s.Sigs, sig)
	}
	if len(s.Sigs) == 0 {
		return nil, fmt.Errorf("sign %s: %w", typ, ErrUnsigned)
	}
	return Encode(s)
}

// Open checks raw and returns it with its name. raw must be at most max bytes,
// of type want, signed at least once; every signature it carries must verify
// under the key that keys finds for it. Who had to sign is the caller's rule:
// look at Sigs.
func Open(raw []byte, want string, max int, keys KeyFunc) (Signed, id.ID, error) {
	return OpenWith(raw, want, max, keys, func(f func() error) error { return f() })
}

// OpenWith is Open that hands the check of each signature to check, which may
// do it later, as a Pool does. Nothing may be believed before all are done.
func OpenWith(raw []byte, want string, max int, keys KeyFunc, check func(func() error) error) (Signed, id.ID, error) {
	var s Signed
	if len(raw) > max {
		return s, id.ID{}, fmt.Errorf("%s: %w: %d bytes, limit %d", want, ErrTooLarge, len(raw), max)
	}
	if err := Decode(raw, &s); err != nil {
		return Signed{}, id.ID{}, fmt.Errorf("%s: %w", want, err)
	}
	if s.Type != want {
		return Signed{}, id.ID{}, fmt.Errorf("%w: got %q, want %q", ErrType, s.Type, want)
	}
	if err := s.verify(keys, check); err != nil {
		return Signed{}, id.ID{}, fmt.Errorf("%s: %w", want, err)
	}
	return s, id.Of(raw), nil
}

// SignedBy reports whether key k is among the verified signatures.
func (s Signed) SignedBy(k KeyID) bool {
	for _, g := range s.Sigs {
		if g.Key == k {
			return true
		}
	}
	return false
}

func (s Signed) verify(keys KeyFunc, check func(func() error) error) error {
	if len(s.Sigs) == 0 || len(s.Sigs) > maxSigs {
		return ErrUnsigned
	}
	seen := map[KeyID]bool{}
	msg := preimage(s.Type, s.Body)
	for _, g := range s.Sigs {
		if seen[g.Key] {
			return ErrUnsigned
		}
		seen[g.Key] = true
		pub, err := keys(g.Key, s.Body)
		if err != nil {
			return err
		}
		if got, err := KeyIDOf(pub); err != nil || got != g.Key {
			return fmt.Errorf("%w: key %s", ErrKey, g.Key)
		}
		err = check(func() error {
			if err := verify(pub, msg, g.Sig); err != nil {
				return fmt.Errorf("%w: key %s", err, g.Key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func sign(k crypto.Signer, msg []byte) (Sig, error) {
	kid, err := KeyIDOf(k.Public())
	if err != nil {
		return Sig{}, err
	}
	var sig []byte
	switch k := k.(type) {
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, msg)
	case *mldsa.PrivateKey:
		sig, err = k.SignDeterministic(msg, nil)
	case *rsa.PrivateKey:
		sig, err = signPSS(rand.Reader, k, msg)
	case Same:
		m := hmac.New(sha256.New, k.Salt[:])
		m.Write(msg)
		sig, err = signPSS(fixed(m.Sum(nil)), k.PrivateKey, msg)
	default:
		err = fmt.Errorf("%w: %T", ErrKey, k)
	}
	return Sig{Key: kid, Sig: sig}, err
}

func signPSS(salt io.Reader, k *rsa.PrivateKey, msg []byte) ([]byte, error) {
	sum := sha256.Sum256(msg)
	return rsa.SignPSS(salt, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: saltSize})
}

func verify(pub crypto.PublicKey, msg, sig []byte) error {
	switch p := pub.(type) {
	case ed25519.PublicKey:
		if len(p) == ed25519.PublicKeySize && ed25519.Verify(p, msg, sig) {
			return nil
		}
	case *mldsa.PublicKey:
		if p.Parameters() == mldsa.MLDSA65() && mldsa.Verify(p, msg, sig, nil) == nil {
			return nil
		}
	case *rsa.PublicKey:
		sum := sha256.Sum256(msg)
		if rsa.VerifyPSS(p, crypto.SHA256, sum[:], sig, &rsa.PSSOptions{SaltLength: saltSize}) == nil {
			return nil
		}
	default:
		return fmt.Errorf("%w: %T", ErrKey, pub)
	}
	return ErrSignature
}

func preimage(typ string, body []byte) []byte {
	return LP([]byte(domain), []byte(typ), body)
}

// LP joins parts, each after its length as a big-endian u32, so that no two
// different lists of parts join to the same bytes.
func LP(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
)

const (
	kidSize     = 16
	keySize     = 32
	tagSize     = 16
	wrappedSize = keySize + tagSize
	encSize     = 1120 // X-Wing encapsulation: ML-KEM-768 ciphertext 1088 + X25519 point 32
)

// hybrid encrypts a 32-byte key to RSA-OAEP and X-Wing together.
//
// Two secrets are sent, one by each, and the key that wraps is derived from
// both, so both have to be broken. bind says what the key is for (a file id, a
// project and epoch); domain keeps uses apart even when their binds collide.
//
//	body = rsa_kid 16 ‖ xw_kid 16 ‖ rsa_ct 256..1024 ‖ enc 1120 ‖ wrapped 48
//	k1   = 32 random bytes, rsa_ct = RSA-OAEP-SHA-256(k1, label = domain/rsa)
//	k2   = HPKE(X-Wing, HKDF-SHA256, export only; info = LP(domain/xwing, bind)).Export("", 32)
//	KEK  = HKDF-SHA-256(k1 ‖ k2, info = LP(domain/kek, bind, rsa_kid, xw_kid, SHA-256(rsa_ct ‖ enc)))
//	wrapped = AES-256-GCM(KEK, nonce 0, key)
//
// The nonce may be zero because a KEK is never used twice.
type hybrid struct {
	domain string
	bind   []byte
}

// seal makes a body for pub. With hide the key ids are zero and the recipient
// has to try.
func (h hybrid) seal(pub keys.Public, key [keySize]byte, hide bool) ([]byte, error) {
	if err := pub.Check(); err != nil {
		return nil, err
	}
	kids := make([]byte, 2*kidSize)
	if !hide {
		k, err := hybridKeyIDs(pub)
		if err != nil {
			return nil, err
		}
		copy(kids, k)
	}
	k1 := make([]byte, keySize)
	rand.Read(k1)
	rsaCT, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub.RSA, k1, []byte(h.domain+"/rsa"))
	if err != nil {
		return nil, fmt.Errorf("RSA-OAEP: %w", err)
	}
	enc, k2, err := xwingSend(pub, doc.LP([]byte(h.domain+"/xwing"), h.bind))
	if err != nil {
		return nil, err
	}
	kek, err := h.kek(k1, k2, kids, rsaCT, enc)
	if err != nil {
		return nil, err
	}
	wrapped, err := wrapGCM(kek, key)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{kids, rsaCT, enc, wrapped}, nil), nil
}

// open returns the key in body. Errors wrap ErrNotRecipient when body names
// other keys, ErrAuth when it names ours and does not open. Which half failed
// is not told: an RSA padding oracle begins with such an answer.
func (h hybrid) open(pair keys.Pair, body []byte) (key [keySize]byte, err error) {
	if pair.RSA == nil || pair.XWing == nil {
		return key, fmt.Errorf("%w: it has no RSA or no X-Wing key", ErrNotRecipient)
	}
	pub := pair.Public()
	n := pub.RSA.Size()
	if len(body) < 2*kidSize {
		return key, fmt.Errorf("%w: wrapped key of %d bytes", ErrHeader, len(body))
	}
	kids, rest := body[:2*kidSize], body[2*kidSize:]
	mine, err := hybridKeyIDs(pub)
	if err != nil {
		return key, err
	}
	if hidden := bytes.Equal(kids, make([]byte, 2*kidSize)); !hidden && !bytes.Equal(kids, mine) {
		return key, ErrNotRecipient
	} else if len(rest) != n+encSize+wrappedSize {
		if hidden {
			return key, ErrNotRecipient
		}
		return key, fmt.Errorf("%w: wrapped key of %d bytes, want %d", ErrAuth, len(body), 2*kidSize+n+encSize+wrappedSize)
	}
	rsaCT, enc, wrapped := rest[:n], rest[n:n+encSize], rest[n+encSize:]
	k1, err1 := rsa.DecryptOAEP(sha256.New(), nil, pair.RSA, rsaCT, []byte(h.domain+"/rsa"))
	k2, err2 := xwingReceive(pair.XWing, enc, doc.LP([]byte(h.domain+"/xwing"), h.bind))
	if err1 != nil || err2 != nil || len(k1) != keySize {
		return key, fmt.Errorf("%w: wrapped key does not open", ErrAuth)
	}
	kek, err := h.kek(k1, k2, kids, rsaCT, enc)
	if err != nil {
		return key, err
	}
	return unwrapGCM(kek, wrapped)
}

func (h hybrid) kek(k1, k2, kids, rsaCT, enc []byte) ([]byte, error) {
	sum := sha256.Sum256(append(bytes.Clone(rsaCT), enc...))
	info := doc.LP([]byte(h.domain+"/kek"), h.bind, kids[:kidSize], kids[kidSize:], sum[:])
	return hkdf.Key(sha256.New, append(bytes.Clone(k1), k2...), nil, string(info), keySize)
}

func hybridKeyIDs(pub keys.Public) ([]byte, error) {
	r, err := pub.RSAKeyID()
	if err != nil {
		return nil, err
	}
	x := pub.XWingKeyID()
	return append(r[:], x[:]...), nil
}

func xwingSend(pub keys.Public, info []byte) (enc, secret []byte, err error) {
	k, err := pub.KEM()
	if err != nil {
		return nil, nil, err
	}
	enc, s, err := hpke.NewSender(k, hpke.HKDFSHA256(), hpke.ExportOnly(), info)
	if err != nil {
		return nil, nil, fmt.Errorf("X-Wing: %w", err)
	}
	secret, err = s.Export("", keySize)
	return enc, secret, err
}

func xwingReceive(k hpke.PrivateKey, enc, info []byte) ([]byte, error) {
	r, err := hpke.NewRecipient(enc, k, hpke.HKDFSHA256(), hpke.ExportOnly(), info)
	if err != nil {
		return nil, err
	}
	return r.Export("", keySize)
}

// wrapGCM seals key under a kek that is used this once, hence nonce zero.
func wrapGCM(kek []byte, key [keySize]byte) ([]byte, error) {
	a, err := newGCM(kek)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, make([]byte, a.NonceSize()), key[:], nil), nil
}

func unwrapGCM(kek, wrapped []byte) (key [keySize]byte, err error) {
	a, err := newGCM(kek)
	if err != nil {
		return key, err
	}
	p, err := a.Open(nil, make([]byte, a.NonceSize()), wrapped, nil)
	if err != nil || len(p) != keySize {
		return key, fmt.Errorf("%w: wrapped key does not open", ErrAuth)
	}
	return [keySize]byte(p), nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

package seal

import (
	"crypto/hpke"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
)

type hybridTo struct {
	pub  keys.Public
	hide bool
}

// Hybrid addresses pub by RSA and X-Wing together: both must be broken for the
// file to be lost.
func Hybrid(pub keys.Public) Recipient { return hybridTo{pub, false} }

// Hidden is Hybrid without key ids: only who can open the container learns
// that it is his. Readers try at most 64 such stanzas.
func Hidden(pub keys.Public) Recipient { return hybridTo{pub, true} }

func (r hybridTo) Wrap(k FileKey, f FileID) (Stanza, error) {
	body, err := hybrid{domain, f[:]}.seal(r.pub, k, r.hide)
	return Stanza{Type: TypeHybrid, Body: body}, err
}

type xwingTo struct{ pub keys.Public }

// XWing addresses pub by X-Wing alone; pub needs no RSA key.
func XWing(pub keys.Public) Recipient { return xwingTo{pub} }

func (r xwingTo) Wrap(k FileKey, f FileID) (Stanza, error) {
	kem, err := r.pub.KEM()
	if err != nil {
		return Stanza{}, err
	}
	ct, err := hpke.Seal(kem, hpke.HKDFSHA256(), hpke.AES256GCM(), xwingInfo(f), k[:])
	kid := r.pub.XWingKeyID()
	return Stanza{Type: TypeXWing, Body: append(kid[:], ct...)}, err
}

type rsaTo struct{ pub keys.Public }

// RSA addresses pub by RSA-OAEP alone; pub needs no X-Wing key. A quantum
// computer will open what is stored today: use it only for keys that cannot do
// better.
func RSA(pub keys.Public) Recipient { return rsaTo{pub} }

func (r rsaTo) Wrap(k FileKey, f FileID) (Stanza, error) {
	if err := r.pub.CheckRSA(); err != nil {
		return Stanza{}, err
	}
	kid, err := r.pub.RSAKeyID()
	if err != nil {
		return Stanza{}, err
	}
	ct, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, r.pub.RSA, k[:], rsaLabel(f))
	return Stanza{Type: TypeRSA, Body: append(kid[:], ct...)}, err
}

type pairIdentity struct{ pair keys.Pair }

// Pair opens stanzas addressed to pair: hybrid, X-Wing and RSA.
func Pair(pair keys.Pair) Identity { return pairIdentity{pair} }

func (p pairIdentity) Unwrap(s Stanza, f FileID) (FileKey, error) {
	if p.pair.RSA == nil || p.pair.XWing == nil {
		return FileKey{}, ErrNotRecipient
	}
	switch s.Type {
	case TypeHybrid:
		return hybrid{domain, f[:]}.open(p.pair, s.Body)
	case TypeXWing:
		return p.unwrapXWing(s.Body, f)
	case TypeRSA:
		return openRSA(p.pair.RSA, s.Body, f)
	}
	return FileKey{}, ErrNotRecipient
}

func (p pairIdentity) unwrapXWing(body []byte, f FileID) (FileKey, error) {
	kid := p.pair.Public().XWingKeyID()
	ct, err := addressed(body, kid)
	if err != nil {
		return FileKey{}, err
	}
	k, err := hpke.Open(p.pair.XWing, hpke.HKDFSHA256(), hpke.AES256GCM(), xwingInfo(f), ct)
	return fileKey(k, err)
}

func openRSA(key *rsa.PrivateKey, body []byte, f FileID) (FileKey, error) {
	kid, err := keys.Public{RSA: &key.PublicKey}.RSAKeyID()
	if err != nil {
		return FileKey{}, err
	}
	ct, err := addressed(body, kid)
	if err != nil {
		return FileKey{}, err
	}
	k, err := rsa.DecryptOAEP(sha256.New(), nil, key, ct, rsaLabel(f))
	return fileKey(k, err)
}

// RSAKey opens stanzas that are addressed to k by RSA alone, and no others: a
// key from outside, without an X-Wing key beside it.
func RSAKey(k *rsa.PrivateKey) Identity { return rsaIdentity{k} }

type rsaIdentity struct{ key *rsa.PrivateKey }

// String hides the key, so that no log or error can show it by accident.
func (rsaIdentity) String() string { return "seal.RSAKey(hidden)" }

// GoString hides the key from %#v.
func (r rsaIdentity) GoString() string { return r.String() }

func (r rsaIdentity) Unwrap(s Stanza, f FileID) (FileKey, error) {
	if s.Type != TypeRSA {
		return FileKey{}, ErrNotRecipient
	}
	return openRSA(r.key, s.Body, f)
}

// addressed returns what follows the key id, if it is kid or hidden.
func addressed(body []byte, kid doc.KeyID) ([]byte, error) {
	if len(body) < kidSize {
		return nil, fmt.Errorf("%w: stanza of %d bytes", ErrHeader, len(body))
	}
	if got := doc.KeyID(body[:kidSize]); got != kid && got != (doc.KeyID{}) {
		return nil, ErrNotRecipient
	}
	return body[kidSize:], nil
}

func fileKey(k []byte, err error) (FileKey, error) {
	if err != nil || len(k) != keySize {
		return FileKey{}, fmt.Errorf("%w: wrapped key does not open", ErrAuth)
	}
	return FileKey(k), nil
}

func xwingInfo(f FileID) []byte { return doc.LP([]byte(domain+"/xwing-only"), f[:]) }
func rsaLabel(f FileID) []byte  { return doc.LP([]byte(domain+"/rsa-only"), f[:]) }

package secret

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
)

// CheckType is the type of the signed document.
const CheckType = "check"

// MaxCheck bounds a check value in bytes.
const MaxCheck = 8 << 10

// Check is the key check value of an account: its public keys, signed by the
// two of them that can sign. It is public; it is pinned at first use and
// published with the account. It helps nobody to guess who does not have the
// public keys anyway.
type Check struct {
	Account string // as Account gives it
	Public  keys.Public
	Signer  ed25519.PublicKey
	Raw     []byte // the signed document
}

type checkBody struct {
	V       uint8  `cbor:"1,keyasint"`
	Account string `cbor:"2,keyasint"`
	RSA     []byte `cbor:"3,keyasint"` // SubjectPublicKeyInfo DER
	XWing   []byte `cbor:"4,keyasint"`
	Ed25519 []byte `cbor:"5,keyasint"`
}

// NewCheck derives the keys of seed and signs their check value. bits is the
// size of the RSA key, as keys.RSA takes it. Errors wrap ErrAccount, keys.ErrBits.
func NewCheck(ctx context.Context, account string, seed keys.Seed, bits int) (Check, error) {
	r, err := keys.RSA(ctx, seed, bits)
	if err != nil {
		return Check{}, err
	}
	return SignCheck(account, seed, r)
}

// SignCheck is NewCheck for who has derived the RSA key of seed already. The same
// keys give the same bytes each time. Errors wrap ErrAccount or keys.ErrRSA.
func SignCheck(account string, seed keys.Seed, key *rsa.PrivateKey) (Check, error) {
	name, err := Account(account)
	if err != nil {
		return Check{}, err
	}
	kem, err := keys.XWing(seed)
	if err != nil {
		return Check{}, err
	}
	sign, err := keys.Ed25519(seed)
	if err != nil {
		return Check{}, err
	}
	salt, err := keys.SaltKey(seed)
	if err != nil {
		return Check{}, err
	}
	spki, xwing, err := keys.Pair{RSA: key, XWing: kem}.Public().Marshal()
	if err != nil {
		return Check{}, err
	}
	b := checkBody{1, name, spki, xwing, sign.Public().(ed25519.PublicKey)}
	raw, err := doc.Sign(CheckType, b, sign, doc.Same{PrivateKey: key, Salt: salt})
	if err != nil {
		return Check{}, err
	}
	return OpenCheck(raw)
}

// OpenCheck verifies a check value. Errors wrap ErrCheck.
func OpenCheck(raw []byte) (Check, error) {
	var c Check
	_, _, err := doc.Open(raw, CheckType, MaxCheck, func(k doc.KeyID, body []byte) (crypto.PublicKey, error) {
		if c.Raw == nil {
			if err := c.parse(raw, body); err != nil {
				return nil, err
			}
		}
		return doc.Keys(c.Signer, c.Public.RSA)(k, nil)
	})
	if err != nil {
		return Check{}, fmt.Errorf("%w: %v", ErrCheck, err)
	}
	if s, _, err := doc.Open(raw, CheckType, MaxCheck, doc.Keys(c.Signer, c.Public.RSA)); err != nil || len(s.Sigs) != 2 {
		return Check{}, fmt.Errorf("%w: both keys must sign it", ErrCheck)
	}
	return c, nil
}

func (c *Check) parse(raw, body []byte) error {
	var b checkBody
	if err := doc.Decode(body, &b); err != nil {
		return err
	}
	name, err := Account(b.Account)
	if err != nil {
		return err
	}
	if b.V != 1 || name != b.Account || len(b.Ed25519) != ed25519.PublicKeySize {
		return fmt.Errorf("version %d or a field of wrong form", b.V)
	}
	p, err := keys.ParsePublic(b.RSA, b.XWing)
	if err != nil {
		return err
	}
	*c = Check{name, p, b.Ed25519, bytes.Clone(raw)}
	return nil
}

// Match compares the seed that a typed secret gave with the pinned check value,
// in a millisecond: the Ed25519 key is enough, all keys come from one seed.
// Errors wrap ErrOther: the name or the secret is another one. Do not go on and
// make an account then.
func (c Check) Match(account string, seed keys.Seed) error {
	name, err := Account(account)
	if err != nil {
		return err
	}
	if name != c.Account {
		return fmt.Errorf("%w: it was for the account %q, not %q", ErrOther, c.Account, name)
	}
	sign, err := keys.Ed25519(seed)
	if err != nil {
		return err
	}
	if !c.Signer.Equal(sign.Public()) {
		return fmt.Errorf("%w as at first use of %q; a space, a capital or a letter differs", ErrOther, name)
	}
	return nil
}

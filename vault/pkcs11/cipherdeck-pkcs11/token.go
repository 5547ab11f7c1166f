//go:build cgo && unix

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"math"
	"math/big"

	"github.com/miekg/pkcs11"

	"cipherdeck/vault/pkcs11/wire"
)

// Sizes of RSA keys that are taken, and of one that is made.
const (
	minBits = 2048
	maxBits = 8192
	newBits = 3072
)

// token is a token with an open session.
type token struct {
	wire.Token
	m       module
	slot    uint
	session pkcs11.SessionHandle
}

// key is an RSA key of the token.
type key struct {
	wire.Key
	bits   int
	handle pkcs11.ObjectHandle
}

func (t *token) end() { _ = t.m.CloseSession(t.session) } // which logs out

// login gives the PIN to the token, once. What would count as a wrong PIN
// without need is refused here.
func (t *token) login(pin []byte) error {
	i, err := t.m.GetTokenInfo(t.slot)
	if err != nil {
		return tokenSays("look at the token", err, wire.Failed)
	}
	switch {
	case t.Locked:
		return fail(wire.Locked, "token %q", t.Label)
	case len(pin) == 0 && i.Flags&pkcs11.CKF_LOGIN_REQUIRED == 0:
		return nil
	case len(pin) == 0:
		return fail(wire.WrongPIN, "token %q wants a PIN; keypads of readers are not supported", t.Label)
	}
	err = tokenSays("log in", t.m.Login(t.session, pkcs11.CKU_USER, string(pin)), wire.Failed)
	if f, ok := err.(fault); ok && f.code == wire.WrongPIN {
		if now, _, e := t.m.look(t.slot); e == nil && now.Locked {
			return fail(wire.Locked, "token %q, by this wrong PIN", t.Label)
		} else if e == nil && now.Last {
			return fail(wire.WrongPIN, "token %q allows one more try", t.Label)
		}
	}
	return err
}

// find logs in and gives the key that the request names, or the only one that
// fits; it makes it first if it shall.
func (t *token) find(q wire.Request, pin []byte) (key, error) {
	if !t.OAEP {
		return key{}, fail(wire.Refused, "token %q does not decrypt RSA-OAEP", t.Label)
	}
	if err := t.login(pin); err != nil {
		return key{}, err
	}
	keys, err := t.private()
	if err != nil {
		return key{}, err
	}
	var fit []key
	for _, k := range keys {
		if q.Key == "" || k.Label == q.Key {
			fit = append(fit, k)
		}
	}
	switch {
	case q.Op == wire.Make && q.Key == "":
		return key{}, fail(wire.Bad, "no label for the new key")
	case q.Op == wire.Make && len(fit) > 0:
		return key{}, fail(wire.Exists, "token %q has a key %q", t.Label, q.Key)
	case q.Op == wire.Make:
		return t.generate(q.Key)
	case len(fit) > 1:
		return key{}, fail(wire.Choose, "token %q has %d keys that fit: name one by its label", t.Label, len(fit))
	case len(fit) == 0 && q.Key != "":
		return key{}, fail(wire.NoKey, "token %q has no RSA key %q of %d to %d bits that may decrypt", t.Label, q.Key, minBits, maxBits)
	case len(fit) == 0:
		return key{}, fail(wire.NoKey, "token %q has no RSA key of %d to %d bits that may decrypt", t.Label, minBits, maxBits)
	}
	return fit[0], nil
}

// decrypt opens what is wrapped with the key whose public key is q.Public. It
// does not log in to a token that shows another key in its place.
func (t *token) decrypt(q wire.Request, pin []byte) ([]byte, error) {
	seen, err := t.public()
	if err != nil {
		return nil, err
	}
	if err := t.another(q, seen, false); err != nil {
		return nil, err
	}
	if err := t.login(pin); err != nil {
		return nil, err
	}
	keys, err := t.private()
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if hash := sha256.Sum256(k.Public); bytes.Equal(hash[:], q.Public) {
			return t.open(k, q)
		}
	}
	if err := t.another(q, keys, true); err != nil {
		return nil, err
	}
	return nil, fail(wire.NoKey, "key %q is not in token %q", q.Key, t.Label)
}

// another is an error if a key in the place of the wanted one is there, and the
// wanted one is not. The place is the key's id, and its label if all keys are
// seen.
func (t *token) another(q wire.Request, keys []key, all bool) error {
	found := false
	for _, k := range keys {
		if hash := sha256.Sum256(k.Public); bytes.Equal(hash[:], q.Public) {
			return nil
		}
		found = found || len(q.KeyID) > 0 && bytes.Equal(k.ID, q.KeyID) || all && q.Key != "" && k.Label == q.Key
	}
	if found {
		return fail(wire.OtherKey, "key %q in token %q is another one than when the slot was made", q.Key, t.Label)
	}
	return nil
}

func (t *token) open(k key, q wire.Request) ([]byte, error) {
	hash, mask := uint(pkcs11.CKM_SHA256), uint(pkcs11.CKG_MGF1_SHA256)
	if q.Hash == wire.SHA1 {
		hash, mask = pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1
	}
	oaep := pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.NewOAEPParams(hash, mask, pkcs11.CKZ_DATA_SPECIFIED, nil))
	if err := t.m.DecryptInit(t.session, []*pkcs11.Mechanism{oaep}, k.handle); err != nil {
		return nil, tokenSays("begin to decrypt", err, wire.Refused)
	}
	secret, err := t.m.Decrypt(t.session, q.Wrapped)
	return secret, tokenSays("decrypt", err, wire.Refused)
}

// generate makes a key pair that never leaves the token.
func (t *token) generate(label string) (key, error) {
	id := make([]byte, 16)
	rand.Read(id)
	a := pkcs11.NewAttribute
	public := []*pkcs11.Attribute{
		a(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), a(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA), a(pkcs11.CKA_TOKEN, true), a(pkcs11.CKA_PRIVATE, false),
		a(pkcs11.CKA_LABEL, label), a(pkcs11.CKA_ID, id), a(pkcs11.CKA_ENCRYPT, true),
		a(pkcs11.CKA_MODULUS_BITS, newBits), a(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
	}
	private := []*pkcs11.Attribute{
		a(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), a(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA), a(pkcs11.CKA_TOKEN, true), a(pkcs11.CKA_PRIVATE, true),
		a(pkcs11.CKA_LABEL, label), a(pkcs11.CKA_ID, id), a(pkcs11.CKA_DECRYPT, true), a(pkcs11.CKA_SIGN, false),
		a(pkcs11.CKA_SENSITIVE, true), a(pkcs11.CKA_EXTRACTABLE, false),
	}
	gen := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)}
	_, _, err := t.m.GenerateKeyPair(t.session, gen, public, private)
	if err != nil {
		return key{}, tokenSays("make a key pair", err, wire.Refused)
	}
	keys, err := t.private()
	if err != nil {
		return key{}, err
	}
	for _, k := range keys {
		if bytes.Equal(k.ID, id) {
			return k, nil
		}
	}
	return key{}, fail(wire.Failed, "token %q made a key pair and does not show it", t.Label)
}

// private is the RSA keys that may decrypt; they show themselves after login.
func (t *token) private() ([]key, error) {
	a := pkcs11.NewAttribute
	keys, err := t.objects(a(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), a(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA), a(pkcs11.CKA_DECRYPT, true))
	if err != nil {
		return nil, err
	}
	var public []key
	var out []key
	for _, k := range keys {
		if k.Public == nil { // some tokens keep the modulus with the public key only
			if public == nil {
				if public, err = t.public(); err != nil {
					return nil, err
				}
			}
			for _, p := range public {
				if len(p.ID) > 0 && bytes.Equal(p.ID, k.ID) {
					k.Public, k.bits = p.Public, p.bits
				}
			}
		}
		if k.bits >= minBits && k.bits <= maxBits {
			out = append(out, k)
		}
	}
	return out, nil
}

// public is the RSA public keys that are seen now.
func (t *token) public() ([]key, error) {
	a := pkcs11.NewAttribute
	return t.objects(a(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), a(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA))
}

func (t *token) objects(template ...*pkcs11.Attribute) ([]key, error) {
	if err := t.m.FindObjectsInit(t.session, template); err != nil {
		return nil, tokenSays("look for keys", err, wire.Failed)
	}
	handles, _, err := t.m.FindObjects(t.session, maxKeys)
	_ = t.m.FindObjectsFinal(t.session)
	if err != nil {
		return nil, tokenSays("look for keys", err, wire.Failed)
	}
	var out []key
	for _, h := range handles {
		out = append(out, t.describe(h))
	}
	return out, nil
}

// describe reads a key, one attribute at a time: what a token does not have
// would hide the others.
func (t *token) describe(h pkcs11.ObjectHandle) key {
	get := func(attribute uint) []byte {
		a, err := t.m.GetAttributeValue(t.session, h, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, nil)})
		if err != nil || len(a) != 1 || len(a[0].Value) > 1<<12 {
			return nil
		}
		return a[0].Value
	}
	k := key{Key: wire.Key{Label: wire.Plain(string(get(pkcs11.CKA_LABEL))), ID: get(pkcs11.CKA_ID)}, handle: h}
	n, e := new(big.Int).SetBytes(get(pkcs11.CKA_MODULUS)), new(big.Int).SetBytes(get(pkcs11.CKA_PUBLIC_EXPONENT))
	if n.Sign() > 0 && e.Sign() > 0 && e.BitLen() < 32 && e.Int64() <= math.MaxInt32 {
		if der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: int(e.Int64())}); err == nil {
			k.Public, k.bits = der, n.BitLen()
		}
	}
	return k
}

package softtpm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"

	"cipherdeck/attest/wire"
)

// object is a loaded key.
type object struct {
	pub       template
	public    []byte // TPMT_PUBLIC
	name      []byte // nameAlg ‖ SHA-256(public)
	qualified []byte // nameAlg ‖ SHA-256(parent's qualified name ‖ name)
	hierarchy uint32
	key       *ecdsa.PrivateKey
	auth      []byte
}

// newObject completes p with the public point of key. parent is the qualified
// name of the parent, or the handle of a hierarchy.
func newObject(p template, key *ecdsa.PrivateKey, auth, parent []byte, hierarchy uint32) (*object, rc) {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, rcFailure
	}
	p.x, p.y = point[1:33], point[33:]
	o := &object{pub: p, public: p.marshal(), key: key, auth: auth, hierarchy: hierarchy}
	o.name = nameOf(o.public)
	o.qualified = nameOf(append(bytes.Clone(parent), o.name...))
	return o, ok
}

// nameOf is SHA-256 of b behind its algorithm (Part 1, section 16).
func nameOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(wire.U16s(nil, wire.AlgSHA256), sum[:]...)
}

func (o *object) passwordOpens(password []byte) bool {
	if !o.pub.has(wire.AttrUserWithAuth) {
		return false
	}
	return subtle.ConstantTimeCompare(trimAuth(password), o.auth) == 1
}

// trimAuth drops trailing zeros, which do not count in an auth value (Part 1,
// section 19.6.5).
func trimAuth(a []byte) []byte { return bytes.TrimRight(a, "\x00") }

// kdfa is the TPM's key derivation, one block of SP 800-108 in counter mode
// with HMAC-SHA-256 (Part 1, section 11.4.10.2). It returns 32 bytes.
func kdfa(key []byte, label string, u, v []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(wire.U32s(nil, 1))
	m.Write([]byte(label))
	m.Write([]byte{0})
	m.Write(u)
	m.Write(v)
	m.Write(wire.U32s(nil, 256))
	return m.Sum(nil)
}

// primaryKey derives a key from the seed, its hierarchy and its template, so
// that it is the same after every restart. Candidates that are not a scalar
// of P-256 are skipped (about one in 2^32).
func (t *TPM) primaryKey(hierarchy uint32, p template) (*ecdsa.PrivateKey, rc) {
	seed := kdfa(t.seed[:], "HIERARCHY", wire.U32s(nil, hierarchy), nil)
	want := p.marshal()
	for i := range uint32(16) {
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), kdfa(seed, "PRIMARY", want, wire.U32s(nil, i)))
		if err == nil {
			return k, ok
		}
	}
	return nil, rcFailure
}

// sealer protects the private part of this storage key's children.
func (o *object) sealer() (cipher.AEAD, rc) {
	raw, err := o.key.Bytes()
	if err != nil {
		return nil, rcFailure
	}
	block, err := aes.NewCipher(kdfa(raw, "STORAGE", o.name, nil))
	if err != nil {
		return nil, rcFailure
	}
	g, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, rcFailure
	}
	return g, ok
}

// wrap makes the TPM2B_PRIVATE content of a child: opaque outside this TPM.
func (o *object) wrap(child *object) ([]byte, rc) {
	g, code := o.sealer()
	raw, err := child.key.Bytes()
	if code != ok || err != nil {
		return nil, rcFailure
	}
	return g.Seal(nil, nil, append(raw, child.auth...), child.name), ok
}

func (o *object) unwrap(private, name []byte) (key *ecdsa.PrivateKey, auth []byte, code rc) {
	g, code := o.sealer()
	if code != ok {
		return nil, nil, code
	}
	raw, err := g.Open(nil, nil, private, name)
	if err != nil || len(raw) < 32 {
		return nil, nil, rcIntegrity
	}
	key, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), raw[:32])
	if err != nil {
		return nil, nil, rcIntegrity
	}
	return key, raw[32:], ok
}

// sign makes a TPMT_SIGNATURE over msg.
func (o *object) sign(msg []byte) ([]byte, rc) {
	sum := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand.Reader, o.key, sum[:])
	if err != nil {
		return nil, rcFailure
	}
	out := wire.U16s(nil, wire.AlgECDSA, wire.AlgSHA256)
	out = wire.Sized(out, r.FillBytes(make([]byte, 32)))
	return wire.Sized(out, s.FillBytes(make([]byte, 32))), ok
}

// ticket proves to this TPM that it made a digest (TPMT_TK_CREATION).
func (t *TPM) ticket(hierarchy uint32, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, kdfa(t.seed[:], "PROOF", wire.U32s(nil, hierarchy), nil))
	for _, p := range parts {
		m.Write(p)
	}
	out := binary.BigEndian.AppendUint16(nil, 0x8021)
	return wire.Sized(wire.U32s(out, hierarchy), m.Sum(nil))
}

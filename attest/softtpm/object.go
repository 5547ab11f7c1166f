package softtpm

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"

	"cipherdeck/attest/wire"
)

// object is a loaded key or piece of sealed data.
type object struct {
	pub       template
	public    []byte // TPMT_PUBLIC
	name      []byte
	qualified []byte // a hash of the parent's qualified name and the name
	parent    []byte // qualified name of the parent, or the handle of a hierarchy
	hierarchy uint32
	key       crypto.Signer // *ecdsa.PrivateKey or *rsa.PrivateKey; nil for data and for public keys
	known     crypto.PublicKey
	data      []byte // sealed
	auth      []byte
	external  bool
}

// newObject completes p with what is public of key or data. parent is the
// qualified name of the parent, or the handle of a hierarchy.
func newObject(p template, key crypto.Signer, data, auth, parent []byte, hierarchy uint32) (*object, rc) {
	o := &object{pub: p, key: key, data: data, auth: auth, hierarchy: hierarchy, parent: bytes.Clone(parent)}
	if key != nil {
		o.known = key.Public()
	}
	switch k := o.known.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil, rcFailure
		}
		n := len(point) / 2
		o.pub.x, o.pub.y = point[1:1+n], point[1+n:]
	case *rsa.PublicKey:
		o.pub.x = k.N.Bytes()
	default:
		o.pub.x = sumOf(p.nameAlg, data) // of a seed in real chips; it only has to be unique
	}
	o.complete(parent)
	return o, ok
}

func (o *object) complete(parent []byte) {
	o.public = o.pub.marshal()
	o.name = nameOf(o.pub.nameAlg, o.public)
	o.qualified = nameOf(o.pub.nameAlg, append(bytes.Clone(parent), o.name...))
}

// curveOf is the curve of a TPM curve.
func curveOf(id uint16) elliptic.Curve {
	if id == wire.CurveP384 {
		return elliptic.P384()
	}
	return elliptic.P256()
}

// sensitive is the secret part of o: auth value and key or data.
func (o *object) sensitive() ([]byte, rc) {
	secret := o.data
	if o.key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(o.key)
		if err != nil {
			return nil, rcFailure
		}
		secret = der
	}
	return wire.Sized(wire.Sized(nil, o.auth), secret), ok
}

// openSensitive is the inverse: an object from its two parts, which must
// belong together.
func openSensitive(p template, raw, parent []byte, hierarchy uint32) (*object, rc) {
	r := wire.NewReader(raw)
	auth, secret := bytes.Clone(r.Sized(maxAuth)), bytes.Clone(r.Sized(MaxCommand))
	if r.End() != nil {
		return nil, rcIntegrity
	}
	if p.typ == algKeyedHash {
		return newObject(p, nil, secret, auth, parent, hierarchy)
	}
	any, err := x509.ParsePKCS8PrivateKey(secret)
	if err != nil {
		return nil, rcIntegrity
	}
	key, isKey := any.(crypto.Signer)
	_, ecc := any.(*ecdsa.PrivateKey)
	if !isKey || ecc != (p.typ == wire.AlgECC) {
		return nil, rcIntegrity
	}
	return newObject(p, key, nil, auth, parent, hierarchy)
}

// sealer protects the private part of this storage key's children.
func (o *object) sealer() (cipher.AEAD, rc) {
	raw, code := o.sensitive()
	if code != ok {
		return nil, code
	}
	block, err := aes.NewCipher(kdfa(wire.AlgSHA256, raw, "STORAGE", o.name, nil, 256))
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
	if code != ok {
		return nil, code
	}
	raw, code := child.sensitive()
	if code != ok {
		return nil, code
	}
	return g.Seal(nil, nil, raw, child.name), ok
}

func (o *object) unwrap(private, public []byte, p template) (*object, rc) {
	g, code := o.sealer()
	if code != ok {
		return nil, code
	}
	raw, err := g.Open(nil, nil, private, nameOf(p.nameAlg, public))
	if err != nil {
		return nil, rcIntegrity
	}
	return openSensitive(p, raw, o.qualified, o.hierarchy)
}

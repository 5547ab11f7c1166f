package softtpm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"cipherdeck/attest/wire"
)

// unseal is TPM2_Unseal (Part 3, 12.7).
func (t *TPM) unseal(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	switch {
	case o == nil:
		return rcReference
	case c.params.End() != nil:
		return rcSize
	case o.pub.typ != algKeyedHash:
		return rcType
	}
	r.params = wire.Sized(nil, o.data)
	return ok
}

// rsaDecrypt is TPM2_RSA_Decrypt (Part 3, 14.3).
func (t *TPM) rsaDecrypt(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	if o == nil {
		return rcReference
	}
	k, isRSA := o.key.(*rsa.PrivateKey)
	enc := c.params.Sized(512)
	alg, hash := c.params.U16(), uint16(0)
	if alg != wire.AlgNull && alg != algRSAES {
		hash = c.params.U16()
	}
	label := bytes.Clone(c.params.Sized(128))
	switch {
	case c.params.End() != nil:
		return rcSize
	case !isRSA || !o.pub.has(wire.AttrDecrypt):
		return rcKey
	case o.pub.has(wire.AttrRestricted):
		return rcAttributes
	}
	if alg == wire.AlgNull {
		alg, hash = o.pub.scheme, o.pub.hash
	} else if o.pub.scheme != wire.AlgNull && (alg != o.pub.scheme || hash != o.pub.hash) {
		return rcScheme
	}
	if alg != algOAEP || hashFunc(hash) == nil {
		return rcScheme // PKCS #1 v1.5 decryption is an oracle, and not built
	}
	out, err := rsa.DecryptOAEP(hashFunc(hash)(), nil, k, enc, label)
	if err != nil {
		return rcValue
	}
	r.params = wire.Sized(nil, out)
	return ok
}

// readPoint reads a TPM2B_ECC_POINT on curve.
func readPoint(r *wire.Reader, curve elliptic.Curve) (*ecdsa.PublicKey, rc) {
	in := wire.NewReader(r.Sized(128))
	x, y := in.Sized(48), in.Sized(48)
	if r.Err() != nil || in.End() != nil {
		return nil, rcSize
	}
	k, err := ecdsa.ParseUncompressedPublicKey(curve, point(curve, x, y))
	if err != nil {
		return nil, rcECCPoint
	}
	return k, ok
}

func writePoint(out []byte, curve elliptic.Curve, x, y *big.Int) []byte {
	n := curve.Params().BitSize / 8
	p := wire.Sized(nil, x.FillBytes(make([]byte, n)))
	return wire.Sized(out, wire.Sized(p, y.FillBytes(make([]byte, n))))
}

// ecdhZGen is TPM2_ECDH_ZGen (Part 3, 14.5): the shared point with a key from
// outside.
func (t *TPM) ecdhZGen(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	if o == nil {
		return rcReference
	}
	k, isECC := o.key.(*ecdsa.PrivateKey)
	if !isECC || !o.pub.has(wire.AttrDecrypt) {
		return rcKey
	}
	if o.pub.has(wire.AttrRestricted) {
		return rcAttributes
	}
	other, code := readPoint(c.params, k.Curve)
	switch {
	case code != ok:
		return code
	case c.params.End() != nil:
		return rcSize
	}
	x, y, code := multiply(k, other)
	if code != ok {
		return code
	}
	r.params = writePoint(nil, k.Curve, x, y)
	return ok
}

// multiply is the shared point of k and other, with both coordinates, which
// crypto/ecdh does not give.
func multiply(k *ecdsa.PrivateKey, other *ecdsa.PublicKey) (x, y *big.Int, code rc) {
	d, err := k.Bytes()
	if err != nil {
		return nil, nil, rcFailure
	}
	x, y = k.Curve.ScalarMult(other.X, other.Y, d)
	return x, y, ok
}

// ecdhKeyGen is TPM2_ECDH_KeyGen (Part 3, 14.4): an ephemeral key for a loaded
// public key.
func (t *TPM) ecdhKeyGen(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	if o == nil {
		return rcReference
	}
	pub, isECC := o.known.(*ecdsa.PublicKey)
	switch {
	case c.params.End() != nil:
		return rcSize
	case !isECC || !o.pub.has(wire.AttrDecrypt):
		return rcKey
	}
	k, err := ecdsa.GenerateKey(pub.Curve, rand.Reader)
	if err != nil {
		return rcFailure
	}
	x, y, code := multiply(k, pub)
	if code != ok {
		return code
	}
	r.params = writePoint(nil, pub.Curve, x, y)
	r.params = writePoint(r.params, pub.Curve, k.X, k.Y)
	return ok
}

// decapsulate opens a secret that was encrypted to this key for a purpose
// (Part 1, annexes B.10.4 and C.6.1).
func (o *object) decapsulate(enc []byte, purpose string) ([]byte, rc) {
	alg := o.pub.nameAlg
	switch k := o.key.(type) {
	case *rsa.PrivateKey:
		out, err := rsa.DecryptOAEP(hashFunc(alg)(), nil, k, enc, append([]byte(purpose), 0))
		if err != nil {
			return nil, rcValue
		}
		return out, ok
	case *ecdsa.PrivateKey:
		r := wire.NewReader(enc)
		n := k.Curve.Params().BitSize / 8
		x, y := r.Sized(48), r.Sized(48)
		if r.End() != nil {
			return nil, rcSize
		}
		other, err := ecdsa.ParseUncompressedPublicKey(k.Curve, point(k.Curve, x, y))
		if err != nil {
			return nil, rcECCPoint
		}
		z, _, code := multiply(k, other)
		if code != ok {
			return nil, code
		}
		fill := func(v *big.Int) []byte { return v.FillBytes(make([]byte, n)) }
		return kdfe(alg, fill(z), purpose, fill(other.X), fill(k.X), hashSize(alg)*8), ok
	}
	return nil, rcKey
}

// encapsulate is the inverse, with the public key.
func (o *object) encapsulate(purpose string) (secret, enc []byte, code rc) {
	alg := o.pub.nameAlg
	switch k := o.known.(type) {
	case *rsa.PublicKey:
		secret = random(hashSize(alg))
		enc, err := rsa.EncryptOAEP(hashFunc(alg)(), rand.Reader, k, secret, append([]byte(purpose), 0))
		if err != nil {
			return nil, nil, rcFailure
		}
		return secret, enc, ok
	case *ecdsa.PublicKey:
		e, err := ecdsa.GenerateKey(k.Curve, rand.Reader)
		if err != nil {
			return nil, nil, rcFailure
		}
		z, _, code := multiply(e, k)
		if code != ok {
			return nil, nil, code
		}
		n := k.Curve.Params().BitSize / 8
		fill := func(v *big.Int) []byte { return v.FillBytes(make([]byte, n)) }
		secret = kdfe(alg, fill(z), purpose, fill(e.X), fill(k.X), hashSize(alg)*8)
		return secret, wire.Sized(wire.Sized(nil, fill(e.X)), fill(e.Y)), ok
	}
	return nil, nil, rcKey
}

// credential is the pair of keys that protects a credential (Part 1, 24).
func (o *object) credential(seed, name []byte) (cipher.Block, []byte, rc) {
	alg := o.pub.nameAlg
	b, err := aes.NewCipher(kdfa(alg, seed, "STORAGE", name, nil, int(o.pub.aesBits)))
	if err != nil {
		return nil, nil, rcKey // not a storage key
	}
	return b, kdfa(alg, seed, "INTEGRITY", nil, nil, hashSize(alg)*8), ok
}

// makeCredential is TPM2_MakeCredential (Part 3, 12.6).
func (t *TPM) makeCredential(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	if o == nil {
		return rcReference
	}
	secret, name := c.params.Sized(maxDigest), c.params.Sized(2+maxDigest)
	switch {
	case c.params.End() != nil:
		return rcSize
	case !o.pub.storage():
		return rcType
	}
	seed, enc, code := o.encapsulate("IDENTITY")
	if code != ok {
		return code
	}
	block, macKey, code := o.credential(seed, name)
	if code != ok {
		return code
	}
	id := wire.Sized(nil, secret)
	cipher.NewCFBEncrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(id, id)
	blob := append(wire.Sized(nil, macOf(o.pub.nameAlg, macKey, id, name)), id...)
	r.params = wire.Sized(wire.Sized(nil, blob), enc)
	return ok
}

// activateCredential is TPM2_ActivateCredential (Part 3, 12.5): it gives the
// secret only if the credential names an object that is loaded here.
func (t *TPM) activateCredential(c *command, r *reply) rc {
	about, o := t.object(c.handles[0]), t.object(c.handles[1])
	if about == nil || o == nil {
		return rcReference
	}
	blob, enc := wire.NewReader(c.params.Sized(256)), c.params.Sized(512)
	mac := blob.Sized(maxDigest)
	id := bytes.Clone(blob.Take(blob.Left()))
	switch {
	case c.params.End() != nil || blob.Err() != nil:
		return rcSize
	case !o.pub.storage() || o.key == nil:
		return rcType
	}
	seed, code := o.decapsulate(enc, "IDENTITY")
	if code != ok {
		return code
	}
	block, macKey, code := o.credential(seed, about.name)
	if code != ok {
		return code
	}
	if !same(mac, macOf(o.pub.nameAlg, macKey, id, about.name)) {
		return rcIntegrity
	}
	cipher.NewCFBDecrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(id, id)
	in := wire.NewReader(id)
	secret := in.Sized(maxDigest)
	if in.End() != nil {
		return rcIntegrity
	}
	r.params = wire.Sized(nil, secret)
	return ok
}

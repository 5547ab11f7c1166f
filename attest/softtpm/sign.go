package softtpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"cipherdeck/attest/wire"
)

// signScheme reads an inScheme parameter: none means the key's own.
func (o *object) signScheme(r *wire.Reader) (alg, hash uint16, code rc) {
	alg = r.U16()
	if alg != wire.AlgNull {
		hash = r.U16()
	}
	switch {
	case r.Err() != nil:
		return 0, 0, rcInsufficient
	case alg == wire.AlgNull:
		alg, hash = o.pub.scheme, o.pub.hash
	case o.pub.scheme != wire.AlgNull && (alg != o.pub.scheme || hash != o.pub.hash):
		return 0, 0, rcScheme
	}
	fits := o.pub.typ == wire.AlgECC && alg == wire.AlgECDSA || o.pub.typ == wire.AlgRSA && (alg == wire.AlgRSASSA || alg == algRSAPSS)
	if !fits || hashFunc(hash) == nil {
		return 0, 0, rcScheme
	}
	return alg, hash, ok
}

// signDigested makes a TPMT_SIGNATURE over a digest.
func (o *object) signDigested(alg, hash uint16, digest []byte) ([]byte, rc) {
	out := wire.U16s(nil, alg, hash)
	switch k := o.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, digest)
		if err != nil {
			return nil, rcFailure
		}
		n := k.Curve.Params().BitSize / 8
		return wire.Sized(wire.Sized(out, r.FillBytes(make([]byte, n))), s.FillBytes(make([]byte, n))), ok
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = cryptoHash(hash)
		if alg == algRSAPSS {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: cryptoHash(hash)}
		}
		sig, err := k.Sign(rand.Reader, digest, opts)
		if err != nil {
			return nil, rcFailure
		}
		return wire.Sized(out, sig), ok
	}
	return nil, rcKey
}

// signer is the signing key with handle h.
func (t *TPM) signer(h uint32) (*object, rc) {
	o := t.object(h)
	if o == nil {
		return nil, rcReference
	}
	if !o.pub.has(wire.AttrSign) || o.key == nil {
		return nil, rcKey
	}
	return o, ok
}

// signDigest is TPM2_Sign (Part 3, 20.2), with keys that are not restricted:
// with others only the TPM's own words are signed.
func (t *TPM) signDigest(c *command, r *reply) rc {
	o, code := t.signer(c.handles[0])
	if code != ok {
		return code
	}
	digest := c.params.Sized(maxDigest)
	alg, hash, code := o.signScheme(c.params)
	if code != ok {
		return code
	}
	c.params.U16() // ticket: tag, hierarchy, digest
	c.params.U32()
	c.params.Sized(maxDigest)
	switch {
	case c.params.End() != nil:
		return rcSize
	case o.pub.has(wire.AttrRestricted):
		return rcTicket
	case len(digest) != hashSize(hash):
		return rcSize
	}
	r.params, code = o.signDigested(alg, hash, digest)
	return code
}

// verifySignature is TPM2_VerifySignature (Part 3, 20.1).
func (t *TPM) verifySignature(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	if o == nil {
		return rcReference
	}
	digest := c.params.Sized(maxDigest)
	alg, hash := c.params.U16(), c.params.U16()
	if c.params.Err() == nil && len(digest) != hashSize(hash) {
		return rcSize
	}
	good := false
	switch k := o.known.(type) {
	case *ecdsa.PublicKey:
		rr, ss := c.params.Sized(48), c.params.Sized(48)
		good = alg == wire.AlgECDSA && ecdsa.Verify(k, digest, new(big.Int).SetBytes(rr), new(big.Int).SetBytes(ss))
	case *rsa.PublicKey:
		sig := c.params.Sized(512)
		switch alg {
		case wire.AlgRSASSA:
			good = rsa.VerifyPKCS1v15(k, cryptoHash(hash), digest, sig) == nil
		case algRSAPSS:
			good = rsa.VerifyPSS(k, cryptoHash(hash), digest, sig, nil) == nil
		}
	}
	switch {
	case c.params.End() != nil:
		return rcSize
	case !good:
		return rcSignature
	}
	r.params = t.ticket(tagVerified, o.hierarchy, digest, o.name)
	return ok
}

// publicKey is the key of a public area from outside.
func (p *template) publicKey() (crypto.PublicKey, rc) {
	switch p.typ {
	case wire.AlgECC:
		curve := curveOf(p.curve)
		k, err := ecdsa.ParseUncompressedPublicKey(curve, point(curve, p.x, p.y))
		if err != nil {
			return nil, rcECCPoint
		}
		return k, ok
	case wire.AlgRSA:
		n := new(big.Int).SetBytes(p.x)
		if n.BitLen() != int(p.bits) || n.Bit(0) == 0 {
			return nil, rcSize
		}
		return &rsa.PublicKey{N: n, E: 65537}, ok
	}
	return nil, rcType
}

// point is an uncompressed point from coordinates that may be short.
func point(curve elliptic.Curve, x, y []byte) []byte {
	n := curve.Params().BitSize / 8
	x, y = bytes.TrimLeft(x, "\x00"), bytes.TrimLeft(y, "\x00")
	out := make([]byte, 1+2*n)
	if len(x) > n || len(y) > n {
		return nil
	}
	out[0] = 4
	copy(out[1+n-len(x):], x)
	copy(out[1+2*n-len(y):], y)
	return out
}

package softtpm

import (
	"bytes"

	"cipherdeck/attest/wire"
)

const knownAttrs = wire.AttrFixedTPM | wire.AttrFixedParent | wire.AttrSensitiveDataOrigin |
	wire.AttrUserWithAuth | wire.AttrAdminWithPolicy | wire.AttrNoDA | wire.AttrRestricted | wire.AttrDecrypt | wire.AttrSign

// template is a public area (TPMT_PUBLIC, Part 2, 12.2.4).
type template struct {
	typ     uint16
	nameAlg uint16
	attrs   uint32
	policy  []byte
	aesBits uint16 // 0: no symmetric cipher, so no storage key
	scheme  uint16
	hash    uint16 // of the scheme, 0 when it has none
	curve   uint16
	bits    uint16 // of an RSA key
	x, y    []byte // unique: point, or modulus and nothing, or digest and nothing
}

func (p *template) has(bits uint32) bool { return p.attrs&bits == bits }

// storage reports whether p is the parent of others.
func (p *template) storage() bool { return p.has(wire.AttrRestricted | wire.AttrDecrypt) }

// parseTemplate reads a public area that this TPM can hold.
func parseTemplate(b []byte) (template, rc) {
	r := wire.NewReader(b)
	p := template{typ: r.U16(), nameAlg: r.U16(), attrs: r.U32()}
	p.policy = bytes.Clone(r.Sized(maxDigest))
	if r.Err() == nil && hashFunc(p.nameAlg) == nil {
		return p, rcHash
	}
	var code rc
	switch p.typ {
	case wire.AlgECC:
		code = p.parseECC(r)
	case wire.AlgRSA:
		code = p.parseRSA(r)
	case algKeyedHash:
		code = p.parseKeyedHash(r)
	default:
		code = rcType
	}
	switch {
	case code != ok:
		return p, code
	case r.End() != nil:
		return p, rcSize
	case len(p.policy) != 0 && len(p.policy) != hashSize(p.nameAlg):
		return p, rcSize
	}
	return p, p.check()
}

func (p *template) parseSymmetric(r *wire.Reader) rc {
	sym := r.U16()
	if sym == wire.AlgNull {
		return ok
	}
	p.aesBits = r.U16()
	if mode := r.U16(); r.Err() == nil && (sym != wire.AlgAES || mode != wire.AlgCFB || (p.aesBits != 128 && p.aesBits != 256)) {
		return rcSymmetric
	}
	return ok
}

// parseScheme reads a scheme of those in allowed, or none.
func (p *template) parseScheme(r *wire.Reader, allowed ...uint16) rc {
	if p.scheme = r.U16(); p.scheme == wire.AlgNull || r.Err() != nil {
		return ok
	}
	if p.scheme != algRSAES {
		p.hash = r.U16()
	}
	if r.Err() == nil && p.hash != 0 && hashFunc(p.hash) == nil {
		return rcHash
	}
	for _, a := range allowed {
		if p.scheme == a {
			return ok
		}
	}
	return rcScheme
}

func (p *template) parseECC(r *wire.Reader) rc {
	if code := p.parseSymmetric(r); code != ok {
		return code
	}
	if code := p.parseScheme(r, wire.AlgECDSA, algECDH); code != ok {
		return code
	}
	var kdf uint16
	p.curve, kdf = r.U16(), r.U16()
	p.x, p.y = bytes.Clone(r.Sized(48)), bytes.Clone(r.Sized(48))
	switch {
	case r.Err() != nil:
		return rcInsufficient
	case p.curve != wire.CurveP256 && p.curve != wire.CurveP384:
		return rcCurve
	case kdf != wire.AlgNull:
		return rcKDF
	}
	return ok
}

func (p *template) parseRSA(r *wire.Reader) rc {
	if code := p.parseSymmetric(r); code != ok {
		return code
	}
	if code := p.parseScheme(r, wire.AlgRSASSA, algRSAPSS, algOAEP, algRSAES); code != ok {
		return code
	}
	p.bits = r.U16()
	exponent := r.U32()
	p.x = bytes.Clone(r.Sized(512))
	switch {
	case r.Err() != nil:
		return rcInsufficient
	case p.bits != 2048 && p.bits != 3072:
		return rcValue
	case exponent != 0 && exponent != 65537:
		return rcValue
	}
	return ok
}

func (p *template) parseKeyedHash(r *wire.Reader) rc {
	if p.scheme = r.U16(); p.scheme != wire.AlgNull && r.Err() == nil {
		return rcScheme // sealed data only: HMAC keys are not built
	}
	p.x = bytes.Clone(r.Sized(maxDigest))
	if r.Err() != nil {
		return rcInsufficient
	}
	return ok
}

// check holds the template against the rules of Part 1, section 27.
func (p *template) check() rc {
	sign, decrypt, restricted := p.has(wire.AttrSign), p.has(wire.AttrDecrypt), p.has(wire.AttrRestricted)
	signs := p.scheme == wire.AlgECDSA || p.scheme == wire.AlgRSASSA || p.scheme == algRSAPSS
	switch {
	case p.attrs&^uint32(knownAttrs) != 0:
		return rcReserved
	case p.has(wire.AttrFixedTPM) && !p.has(wire.AttrFixedParent):
		return rcAttributes
	case p.typ == algKeyedHash:
		if sign || decrypt || restricted || p.has(wire.AttrSensitiveDataOrigin) {
			return rcAttributes // sealed data comes from outside and does nothing
		}
		return ok
	case sign == decrypt:
		return rcAttributes // keys that do both are not built
	case p.storage() != (p.aesBits != 0):
		return rcSymmetric
	case decrypt && signs, p.storage() && p.scheme != wire.AlgNull, sign && restricted && !signs, sign && p.scheme != wire.AlgNull && !signs:
		return rcScheme
	}
	return ok
}

// marshal is the canonical TPMT_PUBLIC of p.
func (p *template) marshal() []byte {
	out := wire.U32s(wire.U16s(nil, p.typ, p.nameAlg), p.attrs)
	out = wire.Sized(out, p.policy)
	if p.typ == algKeyedHash {
		return wire.Sized(wire.U16s(out, wire.AlgNull), p.x)
	}
	if p.aesBits == 0 {
		out = wire.U16s(out, wire.AlgNull)
	} else {
		out = wire.U16s(out, wire.AlgAES, p.aesBits, wire.AlgCFB)
	}
	out = wire.U16s(out, p.scheme)
	if p.hash != 0 {
		out = wire.U16s(out, p.hash)
	}
	if p.typ == wire.AlgRSA {
		return wire.Sized(wire.U32s(wire.U16s(out, p.bits), 0), p.x)
	}
	return wire.Sized(wire.Sized(wire.U16s(out, p.curve, wire.AlgNull), p.x), p.y)
}

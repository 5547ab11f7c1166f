package softtpm

import (
	"bytes"

	"cipherdeck/attest/wire"
)

const knownAttrs = wire.AttrFixedTPM | wire.AttrFixedParent | wire.AttrSensitiveDataOrigin |
	wire.AttrUserWithAuth | wire.AttrNoDA | wire.AttrRestricted | wire.AttrDecrypt | wire.AttrSign

// template is the public area of an ECC key (TPMT_PUBLIC, Part 2, 12.2.4).
type template struct {
	attrs   uint32
	policy  []byte
	aesBits uint16 // 0: no symmetric cipher, so no storage key
	ecdsa   bool   // the scheme is fixed to ECDSA with SHA-256
	x, y    []byte
}

func (p *template) has(bits uint32) bool { return p.attrs&bits == bits }

// parseTemplate reads a public area that this TPM can make a key for.
func parseTemplate(b []byte) (template, rc) {
	r := wire.NewReader(b)
	var p template
	typ, hash := r.U16(), r.U16()
	p.attrs = r.U32()
	p.policy = bytes.Clone(r.Sized(32))
	sym := r.U16()
	if sym != wire.AlgNull {
		p.aesBits = r.U16()
		if mode := r.U16(); r.Err() == nil && (sym != wire.AlgAES || mode != wire.AlgCFB || (p.aesBits != 128 && p.aesBits != 256)) {
			return p, rcSymmetric
		}
	}
	scheme := r.U16()
	if scheme != wire.AlgNull {
		p.ecdsa = true
		if h := r.U16(); r.Err() == nil && (scheme != wire.AlgECDSA || h != wire.AlgSHA256) {
			return p, rcScheme
		}
	}
	curve, kdf := r.U16(), r.U16()
	p.x, p.y = bytes.Clone(r.Sized(32)), bytes.Clone(r.Sized(32))
	switch {
	case r.End() != nil:
		return p, rcSize
	case typ != wire.AlgECC:
		return p, rcType
	case hash != wire.AlgSHA256:
		return p, rcHash
	case curve != wire.CurveP256:
		return p, rcCurve
	case kdf != wire.AlgNull:
		return p, rcKDF
	}
	return p, p.check()
}

// check holds the template against the rules of Part 1, section 27.
func (p *template) check() rc {
	sign, storage := p.has(wire.AttrSign), p.has(wire.AttrRestricted|wire.AttrDecrypt)
	switch {
	case p.attrs&^uint32(knownAttrs) != 0:
		return rcReserved
	case !p.has(wire.AttrSensitiveDataOrigin | wire.AttrNoDA):
		return rcAttributes // keys are made here, and there is no lockout
	case p.has(wire.AttrFixedTPM) && !p.has(wire.AttrFixedParent):
		return rcAttributes
	case sign && storage, !sign && !storage:
		return rcAttributes
	case storage != (p.aesBits != 0):
		return rcSymmetric
	case storage && p.ecdsa, sign && p.has(wire.AttrRestricted) && !p.ecdsa:
		return rcScheme
	}
	return ok
}

// marshal is the canonical TPMT_PUBLIC of p.
func (p *template) marshal() []byte {
	out := wire.U32s(wire.U16s(nil, wire.AlgECC, wire.AlgSHA256), p.attrs)
	out = wire.Sized(out, p.policy)
	if p.aesBits == 0 {
		out = wire.U16s(out, wire.AlgNull)
	} else {
		out = wire.U16s(out, wire.AlgAES, p.aesBits, wire.AlgCFB)
	}
	if p.ecdsa {
		out = wire.U16s(out, wire.AlgECDSA, wire.AlgSHA256)
	} else {
		out = wire.U16s(out, wire.AlgNull)
	}
	out = wire.U16s(out, wire.CurveP256, wire.AlgNull)
	return wire.Sized(wire.Sized(out, p.x), p.y)
}

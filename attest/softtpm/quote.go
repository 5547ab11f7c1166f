package softtpm

import (
	"encoding/binary"

	"cipherdeck/attest/wire"
)

const (
	safe    = 1          // the clock did not go back
	version = 0x00010000 // firmware version 1.0
)

// quote is TPM2_Quote (Part 3, 18.4). A restricted key signs only what starts
// with the TPM's magic number, so a quote cannot be made from outside bytes.
func (t *TPM) quote(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	if o == nil {
		return rcReference
	}
	if !o.pub.has(wire.AttrSign) {
		return rcKey
	}
	qualifying := c.params.Sized(64)
	scheme, hash := c.params.U16(), uint16(wire.AlgSHA256)
	if scheme != wire.AlgNull {
		hash = c.params.U16()
	}
	s, code := parseSelection(c.params)
	switch {
	case c.params.Err() == nil && (scheme != wire.AlgNull && scheme != wire.AlgECDSA || hash != wire.AlgSHA256):
		return rcScheme
	case scheme == wire.AlgNull && !o.pub.ecdsa:
		return rcScheme
	case code != ok:
		return code
	case c.params.End() != nil:
		return rcSize
	}
	quoted := t.attestHead(o, qualifying)
	quoted = append(quoted, s.marshal()...)
	quoted = wire.Sized(quoted, t.digest(s))
	sig, code := o.sign(quoted)
	if code != ok {
		return code
	}
	r.params = append(wire.Sized(nil, quoted), sig...)
	return ok
}

// attestHead is a TPMS_ATTEST up to its attested part (Part 2, 10.12.12).
func (t *TPM) attestHead(o *object, qualifying []byte) []byte {
	out := wire.U16s(wire.U32s(nil, wire.Magic), wire.TagQuote)
	out = wire.Sized(wire.Sized(out, o.qualified), qualifying)
	out = binary.BigEndian.AppendUint64(out, t.clock())
	out = wire.U32s(out, t.resets, 0) // no resume, so no restarts
	out = append(out, safe)
	return binary.BigEndian.AppendUint64(out, version)
}

package softtpm

import (
	"encoding/binary"

	"cipherdeck/attest/wire"
)

const (
	safe    = 1          // the clock did not go back
	version = 0x00010000 // firmware version 1.0
)

func u64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// quote is TPM2_Quote (Part 3, 18.4). A restricted key signs only what starts
// with the TPM's magic number, so a quote cannot be made from outside bytes.
func (t *TPM) quote(c *command, r *reply) rc {
	o, code := t.signer(c.handles[0])
	if code != ok {
		return code
	}
	qualifying := c.params.Sized(64)
	alg, hash, code := o.signScheme(c.params)
	if code != ok {
		return code
	}
	s, code := parseSelection(c.params)
	switch {
	case code != ok:
		return code
	case c.params.End() != nil:
		return rcSize
	}
	quoted := t.attestHead(wire.TagQuote, o, qualifying)
	quoted = append(quoted, s.marshal()...)
	return o.attest(r, alg, hash, wire.Sized(quoted, t.digest(hash, s)))
}

// certify is TPM2_Certify (Part 3, 18.2): this key is in this TPM.
func (t *TPM) certify(c *command, r *reply) rc {
	about := t.object(c.handles[0])
	o, code := t.signer(c.handles[1])
	switch {
	case about == nil:
		return rcReference
	case code != ok:
		return code
	case about.external:
		return rcKey
	}
	qualifying := c.params.Sized(64)
	alg, hash, code := o.signScheme(c.params)
	switch {
	case code != ok:
		return code
	case c.params.End() != nil:
		return rcSize
	}
	said := t.attestHead(wire.TagCertify, o, qualifying)
	return o.attest(r, alg, hash, wire.Sized(wire.Sized(said, about.name), about.qualified))
}

// attest signs what the TPM says.
func (o *object) attest(r *reply, alg, hash uint16, said []byte) rc {
	sig, code := o.signDigested(alg, hash, sumOf(hash, said))
	r.params = append(wire.Sized(nil, said), sig...)
	return code
}

// attestHead is a TPMS_ATTEST up to its attested part (Part 2, 10.12.12).
func (t *TPM) attestHead(tag uint16, o *object, qualifying []byte) []byte {
	out := wire.U16s(wire.U32s(nil, wire.Magic), tag)
	out = wire.Sized(wire.Sized(out, o.qualified), qualifying)
	return u64(append(out, t.clockInfo()...), version)
}

package softtpm

import "cipherdeck/attest/wire"

// Tags of what the TPM attests beside quotes and keys (Part 2, table 19).
const (
	tagTime     = 0x8019
	tagCreated  = 0x801A
	maxToAttest = 64 // of qualifying data
)

// certifyCreation is TPM2_CertifyCreation (Part 3, 18.3): this key was made
// here, in the circumstances that hash to what is shown with its ticket.
func (t *TPM) certifyCreation(c *command, r *reply) rc {
	o, code := t.signer(c.handles[0])
	if code != ok {
		return code
	}
	about := t.object(c.handles[1])
	if about == nil {
		return rcReference
	}
	qualifying, sum := c.params.Sized(maxToAttest), c.params.Sized(maxDigest)
	alg, hash, code := o.signScheme(c.params)
	if code != ok {
		return code
	}
	tag, hierarchy, proof := c.params.U16(), c.params.U32(), c.params.Sized(maxDigest)
	switch {
	case c.params.End() != nil:
		return rcSize
	case tag != tagCreation:
		return rcTicket
	case !same(t.ticket(tagCreation, hierarchy, about.name, sum), wire.Sized(wire.U32s(wire.U16s(nil, tag), hierarchy), proof)):
		return rcTicket
	}
	said := t.attestHead(tagCreated, o, qualifying)
	return o.attest(r, alg, hash, wire.Sized(wire.Sized(said, about.name), sum))
}

// getTime is TPM2_GetTime (Part 3, 18.7).
func (t *TPM) getTime(c *command, r *reply) rc {
	if c.handles[0] != wire.HandleEndorsement {
		return rcHierarchy
	}
	o, code := t.signer(c.handles[1])
	if code != ok {
		return code
	}
	qualifying := c.params.Sized(maxToAttest)
	alg, hash, code := o.signScheme(c.params)
	switch {
	case code != ok:
		return code
	case c.params.End() != nil:
		return rcSize
	}
	said := u64(t.attestHead(tagTime, o, qualifying), t.uptime())
	return o.attest(r, alg, hash, u64(append(said, t.clockInfo()...), version))
}

package softtpm

import (
	"bytes"

	"cipherdeck/attest/wire"
)

// policy is what a policy session has been told so far (Part 1, section 19.7).
type policy struct {
	digest   []byte
	value    bool   // an HMAC with the auth value is wanted
	password bool   // or the auth value itself
	command  uint32 // the one command that it may authorise, 0: any
	pcrs     uint32 // PCR update counter + 1 when PCRs were compared
}

func (p *policy) reset(alg uint16) { *p = policy{digest: make([]byte, hashSize(alg))} }

// extend adds one assertion.
func (s *session) extend(parts ...[]byte) {
	s.policy.digest = sumOf(s.alg, append([][]byte{s.policy.digest}, parts...)...)
}

// told is the policy or trial session that a command is about.
func (t *TPM) told(h uint32) (*session, rc) {
	s := t.session(h)
	if s == nil {
		return nil, rcReference
	}
	if s.kind == kindHMAC {
		return nil, rcMode
	}
	return s, ok
}

// toldOnly is told, for a command that says nothing else.
func (t *TPM) toldOnly(c *command) (*session, rc) {
	s, code := t.told(c.handles[0])
	if code == ok && c.params.End() != nil {
		code = rcSize
	}
	return s, code
}

// policyPCR is TPM2_PolicyPCR (Part 3, 23.7).
func (t *TPM) policyPCR(c *command, _ *reply) rc {
	s, code := t.told(c.handles[0])
	if code != ok {
		return code
	}
	given := c.params.Sized(maxDigest)
	sel, code := parseSelection(c.params)
	switch {
	case code != ok:
		return code
	case c.params.End() != nil:
		return rcSize
	case s.policy.pcrs != 0 && s.policy.pcrs != t.updates+1:
		return rcPCRChanged
	}
	now := t.digest(s.alg, sel)
	if len(given) != 0 {
		if s.kind == kindTrial {
			now = bytes.Clone(given)
		} else if !same(given, now) {
			return rcValue
		}
	}
	s.extend(wire.U32s(nil, ccPolicyPCR), sel.marshal(), now)
	if s.kind == kindPolicy {
		s.policy.pcrs = t.updates + 1
	}
	return ok
}

// policyAuthValue is TPM2_PolicyAuthValue (Part 3, 23.17).
func (t *TPM) policyAuthValue(c *command, _ *reply) rc { return t.policyUser(c, true) }

// policyPassword is TPM2_PolicyPassword (Part 3, 23.18): the same assertion,
// answered in another way.
func (t *TPM) policyPassword(c *command, _ *reply) rc { return t.policyUser(c, false) }

func (t *TPM) policyUser(c *command, value bool) rc {
	s, code := t.toldOnly(c)
	if code != ok {
		return code
	}
	s.extend(wire.U32s(nil, ccPolicyValue))
	s.policy.value, s.policy.password = value, !value
	return ok
}

// policySecret is TPM2_PolicySecret (Part 3, 23.4). Its own authorization was
// the assertion.
func (t *TPM) policySecret(c *command, r *reply) rc {
	s, code := t.told(c.handles[1])
	if code != ok {
		return code
	}
	nonce, cp, ref := c.params.Sized(maxAuth), c.params.Sized(maxDigest), c.params.Sized(maxDigest)
	c.params.U32() // expiration: no ticket is given, so nothing expires
	switch {
	case c.params.End() != nil:
		return rcSize
	case len(nonce) != 0 && !same(nonce, s.nonceTPM):
		return rcNonce
	case len(cp) != 0:
		return rcValue // limiting to one command's parameters is not built
	}
	e, code := t.entity(c.handles[0])
	if code != ok {
		return code
	}
	s.extend(wire.U32s(nil, ccPolicySecret), e.name)
	s.extend(ref)
	r.params = append(wire.Sized(nil, nil), noTicket(tagAuthSecret)...)
	return ok
}

// policyCommandCode is TPM2_PolicyCommandCode (Part 3, 23.11).
func (t *TPM) policyCommandCode(c *command, _ *reply) rc {
	s, code := t.told(c.handles[0])
	cc := c.params.U32()
	switch {
	case code != ok:
		return code
	case c.params.End() != nil:
		return rcSize
	case s.policy.command != 0 && s.policy.command != cc:
		return rcValue
	}
	if _, known := t.commands[cc]; !known {
		return rcPolicyCC
	}
	s.extend(wire.U32s(nil, ccPolicyCC, cc))
	s.policy.command = cc
	return ok
}

// policyOR is TPM2_PolicyOR (Part 3, 23.6).
func (t *TPM) policyOR(c *command, _ *reply) rc {
	s, code := t.told(c.handles[0])
	if code != ok {
		return code
	}
	n := c.params.U32()
	if n < 2 || n > 8 {
		return rcValue
	}
	member := s.kind == kindTrial
	parts := [][]byte{wire.U32s(nil, ccPolicyOR)}
	for range n {
		d := c.params.Sized(maxDigest)
		member = member || same(d, s.policy.digest)
		parts = append(parts, d)
	}
	switch {
	case c.params.End() != nil:
		return rcSize
	case !member:
		return rcValue
	}
	s.policy.digest = make([]byte, hashSize(s.alg))
	s.extend(parts...)
	return ok
}

// policyAuthorize is TPM2_PolicyAuthorize (Part 3, 23.16): the holder of a key
// approved the policy that was reached.
func (t *TPM) policyAuthorize(c *command, _ *reply) rc {
	s, code := t.told(c.handles[0])
	if code != ok {
		return code
	}
	p := c.params
	approved, ref, key := p.Sized(maxDigest), p.Sized(maxDigest), p.Sized(2+maxDigest)
	tag, hierarchy, proof := p.U16(), p.U32(), p.Sized(maxDigest)
	switch {
	case p.End() != nil, len(key) < 2:
		return rcSize
	case tag != tagVerified:
		return rcTicket
	}
	alg := uint16(key[0])<<8 | uint16(key[1])
	if hashFunc(alg) == nil {
		return rcHash
	}
	if s.kind == kindPolicy {
		want := t.ticket(tagVerified, hierarchy, sumOf(alg, approved, ref), key)
		if !same(want, wire.Sized(wire.U32s(wire.U16s(nil, tag), hierarchy), proof)) {
			return rcTicket
		}
		if !same(approved, s.policy.digest) {
			return rcValue
		}
	}
	s.policy.digest = make([]byte, hashSize(s.alg))
	s.extend(wire.U32s(nil, ccPolicyAuth), key)
	s.extend(ref)
	return ok
}

// policyGetDigest is TPM2_PolicyGetDigest (Part 3, 23.19).
func (t *TPM) policyGetDigest(c *command, r *reply) rc {
	s, code := t.toldOnly(c)
	if code != ok {
		return code
	}
	r.params = wire.Sized(nil, s.policy.digest)
	return ok
}

// policyRestart is TPM2_PolicyRestart (Part 3, 11.2).
func (t *TPM) policyRestart(c *command, _ *reply) rc {
	s, code := t.toldOnly(c)
	if code != ok {
		return code
	}
	s.policy.reset(s.alg)
	return ok
}

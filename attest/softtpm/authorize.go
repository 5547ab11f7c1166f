package softtpm

import (
	"bytes"

	"cipherdeck/attest/wire"
)

// Permanent handles (Part 2, table 28).
const (
	handleNull     = wire.HandleNull
	handleLockout  = 0x4000000A
	handlePlatform = 0x4000000C
)

// entity is what a handle stands for, as authorization sees it.
type entity struct {
	name    []byte
	auth    []byte
	policy  []byte
	alg     uint16 // of the policy
	byUser  bool   // a password or HMAC is enough for the USER role
	byAdmin bool   // and for the ADMIN role
	lockout bool   // wrong tries are counted
}

// entity looks h up.
func (t *TPM) entity(h uint32) (entity, rc) {
	handle := wire.U32s(nil, h)
	open := entity{name: handle, byUser: true, byAdmin: true}
	switch {
	case h < pcrCount, h == handleNull:
		return open, ok
	case h == wire.HandleOwner || h == wire.HandleEndorsement:
		open.auth = t.kept.auth(h)
		return open, ok
	case h == handleLockout:
		open.auth, open.lockout = t.kept.auth(h), true
		return open, ok
	case h>>24 == handleNV>>24:
		x := t.kept.nv(h)
		if x == nil {
			return entity{}, rcHandle
		}
		return x.entity(), ok
	}
	o := t.object(h)
	switch {
	case o == nil && h < firstTransient:
		return entity{}, rcValue // stands for nothing that could be authorised
	case o == nil:
		return entity{}, rcReference
	}
	return entity{name: o.name, auth: o.auth, policy: o.pub.policy, alg: o.pub.nameAlg,
		byUser: o.pub.has(wire.AttrUserWithAuth), byAdmin: !o.pub.has(wire.AttrAdminWithPolicy), lockout: !o.pub.has(wire.AttrNoDA)}, ok
}

// nameOfHandle is the name of what h stands for (Part 1, section 16).
func (t *TPM) nameOfHandle(h uint32) ([]byte, rc) {
	if t.session(h) != nil {
		return wire.U32s(nil, h), ok
	}
	e, code := t.entity(h)
	return e.name, code
}

// authorize checks every session of a command, and that each handle that needs
// it is authorised.
func (t *TPM) authorize(c *command) rc {
	if code := t.find(c); code != ok {
		return code
	}
	for i := range c.auths {
		a := &c.auths[i]
		var e entity
		if i < c.spec.auths {
			var code rc
			if e, code = t.entity(c.handles[i]); code != ok {
				return code
			}
		}
		code := t.check(c, i, a, e)
		if code == rcAuthFail || code == rcBadAuth {
			code = t.wrong(e)
		}
		if code != ok {
			return code.inSession(i)
		}
	}
	return c.reveal()
}

// wrong counts a wrong try at something that is guarded against guessing.
func (t *TPM) wrong(e entity) rc {
	if !e.lockout {
		return rcBadAuth
	}
	t.lock.failed(t.clock())
	t.save()
	return rcAuthFail
}

func (t *TPM) check(c *command, i int, a *auth, e entity) rc {
	authorises := i < c.spec.auths
	if authorises && e.lockout && t.lock.locked(t.clock()) && c.handles[i] != handleLockout {
		return rcLockout
	}
	if authorises && e.lockout && !t.lock.Used {
		t.lock.Used = true // on disk before anything is compared
		t.save()
	}
	if a.s != nil && a.s.kind == kindTrial {
		return rcAttributes
	}
	if a.s != nil && a.s.kind == kindPolicy && authorises {
		return t.checkPolicy(c, i, a, e)
	}
	if authorises {
		allowed := e.byUser
		if i < c.spec.admin {
			allowed = e.byAdmin
		}
		if !allowed {
			return rcAuthUnavail
		}
	}
	if a.s == nil {
		if !same(trimAuth(a.hmac), e.auth) {
			return rcAuthFail
		}
		return ok
	}
	a.value = e.auth
	a.keyed = authorises && !bytes.Equal(a.s.bound, append(bytes.Clone(e.name), e.auth...))
	return t.checkMAC(c, i, a)
}

// checkMAC compares the HMAC of a session.
func (t *TPM) checkMAC(c *command, i int, a *auth) rc {
	value := a.value
	if !a.keyed {
		value = nil
	}
	if a.bare = len(a.s.key)+len(value)+len(a.hmac) == 0; a.bare {
		return ok // with nothing to key it, an HMAC may be left out
	}
	hash, code := t.cpHash(c, a.s.alg)
	if code != ok {
		return code
	}
	if !same(a.s.mac(value, hash, a.nonce, a.s.nonceTPM, c.extra(i), a.attrs), a.hmac) {
		return rcAuthFail
	}
	return ok
}

// checkPolicy holds a policy session against the entity's policy (Part 1,
// section 19.7).
func (t *TPM) checkPolicy(c *command, i int, a *auth, e entity) rc {
	p := &a.s.policy
	switch {
	case len(e.policy) == 0 || a.s.alg != e.alg || !same(p.digest, e.policy):
		return rcPolicyFail
	case p.pcrs != 0 && p.pcrs != t.updates+1:
		return rcPCRChanged
	case p.command != 0 && p.command != c.code:
		return rcPolicyCC
	case i < c.spec.admin && p.command == 0:
		return rcPolicyFail // the ADMIN role wants TPM2_PolicyCommandCode
	}
	a.value = e.auth
	if p.password {
		if !same(trimAuth(a.hmac), e.auth) {
			return rcAuthFail
		}
		return ok
	}
	a.keyed = p.value
	return t.checkMAC(c, i, a)
}

// trimAuth drops trailing zeros, which do not count in an auth value (Part 1,
// section 19.6.5).
func trimAuth(a []byte) []byte { return bytes.TrimRight(a, "\x00") }

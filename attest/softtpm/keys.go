package softtpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"

	"cipherdeck/attest/wire"
)

// creation is the common input of CreatePrimary and Create.
type creation struct {
	auth    []byte
	pub     template
	outside []byte
	pcrs    selection
}

func parseCreation(r *wire.Reader) (creation, rc) {
	sens := wire.NewReader(r.Sized(MaxCommand))
	c := creation{auth: bytes.Clone(trimAuth(sens.Sized(maxAuth)))}
	data := sens.Sized(128)
	public := r.Sized(MaxCommand)
	c.outside = bytes.Clone(r.Sized(64))
	pcrs, code := parseSelection(r)
	switch {
	case code != ok:
		return c, code
	case sens.End() != nil || r.End() != nil:
		return c, rcSize
	case len(data) != 0:
		return c, rcAttributes // would contradict sensitiveDataOrigin
	}
	c.pcrs = pcrs
	c.pub, code = parseTemplate(public)
	return c, code
}

// createPrimary is TPM2_CreatePrimary (Part 3, 24.1).
func (t *TPM) createPrimary(c *command, r *reply) rc {
	h := c.handles[0]
	if h != wire.HandleOwner && h != wire.HandleEndorsement {
		return rcHierarchy
	}
	in, code := parseCreation(c.params)
	if code != ok {
		return code
	}
	key, code := t.primaryKey(h, in.pub)
	if code != ok {
		return code
	}
	parent := wire.U32s(nil, h)
	o, code := newObject(in.pub, key, in.auth, parent, h)
	if code != ok {
		return code
	}
	handle, code := t.place(o)
	if code != ok {
		return code
	}
	r.handles = []uint32{handle}
	r.params = wire.Sized(nil, o.public)
	r.params = t.creationProof(r.params, in, o, wire.AlgNull, parent, parent)
	r.params = wire.Sized(r.params, o.name)
	return ok
}

// create is TPM2_Create (Part 3, 12.1): a fresh key below a storage key.
func (t *TPM) create(c *command, r *reply) rc {
	parent, code := t.parent(c.handles[0])
	if code != ok {
		return code
	}
	in, code := parseCreation(c.params)
	if code != ok {
		return code
	}
	if in.pub.has(wire.AttrFixedTPM) && !parent.pub.has(wire.AttrFixedTPM) {
		return rcAttributes
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return rcFailure
	}
	o, code := newObject(in.pub, key, in.auth, parent.qualified, parent.hierarchy)
	if code != ok {
		return code
	}
	private, code := parent.wrap(o)
	if code != ok {
		return code
	}
	r.params = wire.Sized(wire.Sized(nil, private), o.public)
	r.params = t.creationProof(r.params, in, o, wire.AlgSHA256, parent.name, parent.qualified)
	return ok
}

// creationProof appends creation data, its hash and its ticket.
func (t *TPM) creationProof(out []byte, in creation, o *object, parentAlg uint16, parent, qualified []byte) []byte {
	digest := t.digest(in.pcrs)
	if in.pcrs.empty() {
		digest = nil
	}
	data := wire.Sized(in.pcrs.marshal(), digest)
	data = append(data, 1) // locality 0
	data = wire.U16s(data, parentAlg)
	data = wire.Sized(wire.Sized(data, parent), qualified)
	data = wire.Sized(data, in.outside)
	sum := sha256.Sum256(data)
	out = wire.Sized(wire.Sized(out, data), sum[:])
	return append(out, t.ticket(o.hierarchy, o.name, sum[:])...)
}

// load is TPM2_Load (Part 3, 12.2).
func (t *TPM) load(c *command, r *reply) rc {
	parent, code := t.parent(c.handles[0])
	if code != ok {
		return code
	}
	private, public := c.params.Sized(512), c.params.Sized(MaxCommand)
	if c.params.End() != nil {
		return rcSize
	}
	pub, code := parseTemplate(public)
	if code != ok {
		return code
	}
	key, auth, code := parent.unwrap(private, nameOf(public))
	if code != ok {
		return code
	}
	o, code := newObject(pub, key, auth, parent.qualified, parent.hierarchy)
	if code != ok {
		return code
	}
	handle, code := t.place(o)
	if code != ok {
		return code
	}
	r.handles = []uint32{handle}
	r.params = wire.Sized(nil, o.name)
	return ok
}

// parent is the storage key with handle h.
func (t *TPM) parent(h uint32) (*object, rc) {
	o := t.object(h)
	if o == nil {
		return nil, rcReference
	}
	if !o.pub.has(wire.AttrRestricted | wire.AttrDecrypt) {
		return nil, rcType
	}
	return o, ok
}

// readPublic is TPM2_ReadPublic (Part 3, 12.4).
func (t *TPM) readPublic(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	if o == nil {
		return rcReference
	}
	if c.params.End() != nil {
		return rcSize
	}
	r.params = wire.Sized(wire.Sized(wire.Sized(nil, o.public), o.name), o.qualified)
	return ok
}

// flushContext is TPM2_FlushContext (Part 3, 28.4).
func (t *TPM) flushContext(c *command, _ *reply) rc {
	h := c.params.U32()
	if c.params.End() != nil {
		return rcSize
	}
	if t.object(h) == nil {
		return rcHandle
	}
	t.objects[h-firstTransient] = nil
	return ok
}

package softtpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"

	"cipherdeck/attest/wire"
)

// creation is the common input of CreatePrimary and Create.
type creation struct {
	auth    []byte
	data    []byte
	pub     template
	outside []byte
	pcrs    selection
}

func parseCreation(r *wire.Reader) (creation, rc) {
	sens := wire.NewReader(r.Sized(MaxCommand))
	c := creation{auth: bytes.Clone(trimAuth(sens.Sized(maxAuth))), data: bytes.Clone(sens.Sized(128))}
	public := r.Sized(MaxCommand)
	c.outside = bytes.Clone(r.Sized(64))
	pcrs, code := parseSelection(r)
	switch {
	case code != ok:
		return c, code
	case sens.End() != nil || r.End() != nil:
		return c, rcSize
	}
	c.pcrs = pcrs
	if c.pub, code = parseTemplate(public); code != ok {
		return c, code
	}
	switch {
	case len(c.auth) > hashSize(c.pub.nameAlg):
		return c, rcSize
	case c.pub.typ == algKeyedHash && len(c.data) == 0:
		return c, rcAttributes
	case c.pub.typ != algKeyedHash && (len(c.data) != 0 || !c.pub.has(wire.AttrSensitiveDataOrigin)):
		return c, rcAttributes // keys are made here, and nowhere else
	}
	return c, ok
}

// createPrimary is TPM2_CreatePrimary (Part 3, 24.1).
func (t *TPM) createPrimary(c *command, r *reply) rc {
	h := c.handles[0]
	if h != wire.HandleOwner && h != wire.HandleEndorsement && h != handleNull {
		return rcHierarchy
	}
	in, code := parseCreation(c.params)
	if code != ok {
		return code
	}
	if in.pub.typ == algKeyedHash {
		return rcType // sealed data needs a parent that can be loaded again
	}
	key, code := t.primaryKey(h, in.pub)
	if code != ok {
		return code
	}
	parent := wire.U32s(nil, h)
	o, code := newObject(in.pub, key, nil, in.auth, parent, h)
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

// primaryKey derives a key from the seed, its hierarchy and its template, so
// that it is the same after every restart; but for the null hierarchy, whose
// seed is not.
func (t *TPM) primaryKey(hierarchy uint32, p template) (crypto.Signer, rc) {
	seed := t.seed(hierarchy)
	if p.typ == wire.AlgRSA {
		return t.primaryRSA(hierarchy, seed, p)
	}
	want, curve := p.marshal(), curveOf(p.curve)
	bits := curve.Params().BitSize
	for i := range uint32(16) { // candidates beyond the order are skipped, about one in 2^32
		k, err := ecdsa.ParseRawPrivateKey(curve, kdfa(wire.AlgSHA256, seed, "PRIMARY", want, wire.U32s(nil, i), bits))
		if err == nil {
			return k, ok
		}
	}
	return nil, rcFailure
}

// primaryRSA is made once and kept: primes are not found from a seed in a way
// that other versions of the library would repeat.
func (t *TPM) primaryRSA(hierarchy uint32, seed []byte, p template) (crypto.Signer, rc) {
	of := [32]byte(kdfa(wire.AlgSHA256, seed, "PRIMARY", p.marshal(), nil, 256))
	made := &t.kept.RSA
	if hierarchy == handleNull {
		made = &t.passing
	}
	for _, s := range *made {
		if s.Of == of {
			k, err := x509.ParsePKCS8PrivateKey(s.PKCS)
			if err != nil {
				return nil, rcFailure
			}
			return k.(crypto.Signer), ok
		}
	}
	if len(*made) >= maxRSA {
		return nil, rcNVSpace // and not forget one that somebody relies on
	}
	k, err := rsa.GenerateKey(rand.Reader, int(p.bits))
	if err != nil {
		return nil, rcFailure
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, rcFailure
	}
	*made = append(*made, rsaSaved{Of: of, Hierarchy: hierarchy, PKCS: der})
	t.save()
	return k, ok
}

// create is TPM2_Create (Part 3, 12.1): a fresh key or sealed data below a
// storage key.
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
	key, err := fresh(in.pub)
	if err != nil {
		return rcFailure
	}
	o, code := newObject(in.pub, key, in.data, in.auth, parent.qualified, parent.hierarchy)
	if code != ok {
		return code
	}
	private, code := parent.wrap(o)
	if code != ok {
		return code
	}
	r.params = wire.Sized(wire.Sized(nil, private), o.public)
	r.params = t.creationProof(r.params, in, o, parent.pub.nameAlg, parent.name, parent.qualified)
	return ok
}

func fresh(p template) (crypto.Signer, error) {
	switch p.typ {
	case wire.AlgECC:
		return ecdsa.GenerateKey(curveOf(p.curve), rand.Reader)
	case wire.AlgRSA:
		return rsa.GenerateKey(rand.Reader, int(p.bits))
	}
	return nil, nil
}

// creationProof appends creation data, its hash and its ticket.
func (t *TPM) creationProof(out []byte, in creation, o *object, parentAlg uint16, parent, qualified []byte) []byte {
	var digest []byte
	if !in.pcrs.empty() {
		digest = t.digest(o.pub.nameAlg, in.pcrs)
	}
	data := wire.Sized(in.pcrs.marshal(), digest)
	data = append(data, 1) // locality 0
	data = wire.U16s(data, parentAlg)
	data = wire.Sized(wire.Sized(data, parent), qualified)
	data = wire.Sized(data, in.outside)
	sum := sumOf(o.pub.nameAlg, data)
	out = wire.Sized(wire.Sized(out, data), sum)
	return append(out, t.ticket(tagCreation, o.hierarchy, o.name, sum)...)
}

// load is TPM2_Load (Part 3, 12.2).
func (t *TPM) load(c *command, r *reply) rc {
	parent, code := t.parent(c.handles[0])
	if code != ok {
		return code
	}
	private, public := c.params.Sized(MaxCommand), c.params.Sized(MaxCommand)
	if c.params.End() != nil {
		return rcSize
	}
	pub, code := parseTemplate(public)
	if code != ok {
		return code
	}
	o, code := parent.unwrap(private, public, pub)
	if code != ok {
		return code
	}
	return t.loaded(o, r)
}

func (t *TPM) loaded(o *object, r *reply) rc {
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
	if !o.pub.storage() {
		return nil, rcType
	}
	return o, ok
}

// loadExternal is TPM2_LoadExternal (Part 3, 12.3), of public keys only.
func (t *TPM) loadExternal(c *command, r *reply) rc {
	private, public := c.params.Sized(MaxCommand), c.params.Sized(MaxCommand)
	hierarchy := c.params.U32()
	if c.params.End() != nil {
		return rcSize
	}
	if len(private) != 0 {
		return rcSensitive
	}
	pub, code := parseTemplate(public)
	if code != ok {
		return code
	}
	if pub.has(wire.AttrFixedTPM) || pub.has(wire.AttrFixedParent) || pub.has(wire.AttrRestricted) {
		return rcAttributes // nothing from outside may claim to be of this TPM
	}
	o, code := newExternal(pub, hierarchy)
	if code != ok {
		return code
	}
	return t.loaded(o, r)
}

// newExternal is a public key from outside.
func newExternal(pub template, hierarchy uint32) (*object, rc) {
	o := &object{pub: pub, hierarchy: hierarchy, external: true}
	var code rc
	if o.known, code = pub.publicKey(); code != ok {
		return nil, code
	}
	o.complete(wire.U32s(nil, hierarchy))
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
	if t.closeSession(h) {
		return ok
	}
	if h >= firstPersistent || t.object(h) == nil {
		return rcHandle
	}
	t.objects[h-firstTransient] = nil
	return ok
}

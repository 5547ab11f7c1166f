package softtpm

import (
	"crypto/aes"
	"crypto/cipher"

	"cipherdeck/attest/wire"
)

// savedObject is the handle that a saved context of an object has (Part 2,
// table 205): it is not known to this TPM until the context is loaded again.
const savedObject = 0x80000000

// contextSealer protects saved contexts with a key that is gone at the next
// start, as they have to be.
func (t *TPM) contextSealer() (cipher.AEAD, rc) {
	block, err := aes.NewCipher(t.contexts[:])
	if err != nil {
		return nil, rcFailure
	}
	g, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, rcFailure
	}
	return g, ok
}

func contextHead(sequence uint64, handle, hierarchy uint32) []byte {
	return wire.U32s(u64(nil, sequence), handle, hierarchy)
}

// contextSave is TPM2_ContextSave (Part 3, 28.2), of loaded objects. Saved
// sessions are not built: three of them are enough for one client.
func (t *TPM) contextSave(c *command, r *reply) rc {
	o := t.object(c.handles[0])
	switch {
	case c.params.End() != nil:
		return rcSize
	case c.handles[0] >= firstPersistent || o == nil:
		return rcHandle
	}
	var secret []byte
	if !o.external {
		var code rc
		if secret, code = o.sensitive(); code != ok {
			return code
		}
	}
	g, code := t.contextSealer()
	if code != ok {
		return code
	}
	t.sequence++
	head := contextHead(t.sequence, savedObject, o.hierarchy)
	raw := wire.Sized(wire.Sized(wire.Sized(nil, o.public), secret), o.parent)
	r.params = wire.Sized(head, g.Seal(nil, nil, raw, head))
	return ok
}

// contextLoad is TPM2_ContextLoad (Part 3, 28.3).
func (t *TPM) contextLoad(c *command, r *reply) rc {
	sequence, handle, hierarchy := c.params.U64(), c.params.U32(), c.params.U32()
	blob := c.params.Sized(MaxCommand)
	switch {
	case c.params.End() != nil:
		return rcSize
	case handle != savedObject:
		return rcHandle
	}
	g, code := t.contextSealer()
	if code != ok {
		return code
	}
	raw, err := g.Open(nil, nil, blob, contextHead(sequence, handle, hierarchy))
	if err != nil {
		return rcIntegrity
	}
	o, code := fromContext(raw, hierarchy)
	if code != ok {
		return code
	}
	h, code := t.place(o)
	if code != ok {
		return code
	}
	r.handles = []uint32{h}
	return ok
}

// fromContext is the object that was saved; one with no secret came from
// outside.
func fromContext(raw []byte, hierarchy uint32) (*object, rc) {
	in := wire.NewReader(raw)
	public, secret, parent := in.Sized(MaxCommand), in.Sized(MaxCommand), in.Sized(MaxCommand)
	if in.End() != nil {
		return nil, rcIntegrity
	}
	pub, code := parseTemplate(public)
	if code != ok {
		return nil, code
	}
	if len(secret) == 0 {
		return newExternal(pub, hierarchy)
	}
	return openSensitive(pub, secret, parent, hierarchy)
}

package softtpm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"

	"cipherdeck/attest/wire"
)

const (
	sessionPW    = 0x40000009 // TPM_RS_PW: a password instead of a session
	firstHMAC    = 0x02000000
	firstPolicy  = 0x03000000
	sessionSlots = 3
	nonceSize    = 16

	kindHMAC   = 0
	kindPolicy = 1
	kindTrial  = 3
)

// session is an open HMAC or policy session (Part 1, chapters 19 to 21).
type session struct {
	handle   uint32
	kind     byte
	alg      uint16
	nonceTPM []byte
	key      []byte
	aesBits  int    // 0: no parameter encryption
	bound    []byte // name and auth value of the entity it was bound to
	policy   policy
}

// startAuthSession is TPM2_StartAuthSession (Part 3, 11.1).
func (t *TPM) startAuthSession(c *command, r *reply) rc {
	p := c.params
	nonce, salt := p.Sized(maxAuth), p.Sized(512)
	s := &session{kind: p.U8()}
	sym := p.U16()
	if sym != wire.AlgNull {
		s.aesBits = int(p.U16())
		if mode := p.U16(); p.Err() == nil && (sym != wire.AlgAES || mode != wire.AlgCFB || s.aesBits != 128 && s.aesBits != 256) {
			return rcSymmetric
		}
	}
	s.alg = p.U16()
	switch {
	case p.End() != nil:
		return rcSize
	case hashFunc(s.alg) == nil:
		return rcHash
	case len(nonce) < nonceSize:
		return rcSize
	case s.kind != kindHMAC && s.kind != kindPolicy && s.kind != kindTrial:
		return rcValue
	}
	secret, code := t.salt(c.handles[0], salt)
	if code != ok {
		return code
	}
	if bind := c.handles[1]; bind != handleNull {
		e, code := t.entity(bind)
		if code != ok {
			return code
		}
		s.bound = append(bytes.Clone(e.name), e.auth...)
		secret = append(bytes.Clone(e.auth), secret...)
	}
	s.nonceTPM = random(len(nonce))
	if len(secret) > 0 {
		s.key = kdfa(s.alg, secret, "ATH", s.nonceTPM, nonce, hashSize(s.alg)*8)
	}
	s.policy.reset(s.alg)
	if code := t.openSession(s); code != ok {
		return code
	}
	r.handles = []uint32{s.handle}
	r.params = wire.Sized(nil, s.nonceTPM)
	return ok
}

// salt decrypts the salt of a session with the key that it was made for.
func (t *TPM) salt(key uint32, enc []byte) ([]byte, rc) {
	if key == handleNull {
		if len(enc) != 0 {
			return nil, rcValue
		}
		return nil, ok
	}
	o := t.object(key)
	if o == nil {
		return nil, rcReference
	}
	if !o.pub.has(wire.AttrDecrypt) {
		return nil, rcAttributes
	}
	return o.decapsulate(enc, "SECRET")
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return b
}

func (t *TPM) openSession(s *session) rc {
	first := uint32(firstHMAC)
	if s.kind != kindHMAC {
		first = firstPolicy
	}
	for i := range t.sessions {
		if t.sessions[i] == nil {
			s.handle = first + uint32(i)
			t.sessions[i] = s
			return ok
		}
	}
	return rcSessionSlots
}

func (t *TPM) session(h uint32) *session {
	i := h &^ 0xFF000000
	if i < sessionSlots && t.sessions[i] != nil && t.sessions[i].handle == h {
		return t.sessions[i]
	}
	return nil
}

// find attaches the sessions of a command and turns its first parameter into
// clear text.
func (t *TPM) find(c *command) rc {
	for i := range c.auths {
		a := &c.auths[i]
		if a.session == sessionPW {
			if len(a.nonce) != 0 || a.attrs&(attrDecrypt|attrEncrypt) != 0 || i >= c.spec.auths {
				return rcHandle.inSession(i)
			}
			continue
		}
		if a.s = t.session(a.session); a.s == nil {
			return rcNoSession + rc(i)
		}
		if a.attrs&(attrDecrypt|attrEncrypt) != 0 && a.s.aesBits == 0 {
			return rcSymmetric.inSession(i)
		}
		if a.attrs&^(attrContinue|attrDecrypt|attrEncrypt) != 0 {
			return rcAttributes.inSession(i) // audit is not built
		}
	}
	return ok
}

// hidden is the one session with this attribute, and its number.
func (c *command) hidden(attr byte) (*auth, int) {
	for i := range c.auths {
		if c.auths[i].s != nil && c.auths[i].attrs&attr != 0 {
			return &c.auths[i], i
		}
	}
	return nil, -1
}

// reveal decrypts the first parameter, after the HMACs over its ciphertext
// were checked.
func (c *command) reveal() rc {
	a, i := c.hidden(attrDecrypt)
	if a == nil {
		return ok
	}
	r := wire.NewReader(c.raw)
	field := r.Sized(MaxCommand)
	if r.Err() != nil {
		return rcAttributes.inSession(i) // the command's first parameter has no size
	}
	a.s.crypt(field, a.value, a.nonce, a.s.nonceTPM, true)
	return ok
}

// crypt runs parameter encryption in place: AES in CFB mode, key and IV from
// the session key and the auth value of what the session authorises (Part 1,
// section 21.3).
func (s *session) crypt(field, value, newer, older []byte, decrypt bool) {
	k := kdfa(s.alg, append(bytes.Clone(s.key), value...), "CFB", newer, older, s.aesBits+aes.BlockSize*8)
	b, err := aes.NewCipher(k[:s.aesBits/8])
	if err != nil {
		return // never: aesBits is 128 or 256
	}
	if decrypt {
		cipher.NewCFBDecrypter(b, k[s.aesBits/8:]).XORKeyStream(field, field)
	} else {
		cipher.NewCFBEncrypter(b, k[s.aesBits/8:]).XORKeyStream(field, field)
	}
}

// mac is the HMAC of a session over a command or a response. extra is the
// nonces of other sessions that encrypt, in the first session of a command.
func (s *session) mac(value, hash, newer, older, extra []byte, attrs byte) []byte {
	return macOf(s.alg, append(bytes.Clone(s.key), value...), hash, newer, older, extra, []byte{attrs})
}

// extra is what the first session's HMAC covers of the other ones.
func (c *command) extra(i int) []byte {
	if i != 0 {
		return nil
	}
	var out []byte
	dec, d := c.hidden(attrDecrypt)
	enc, e := c.hidden(attrEncrypt)
	if d > 0 {
		out = append(out, dec.s.nonceTPM...)
	}
	if e > 0 && e != d {
		out = append(out, enc.s.nonceTPM...)
	}
	return out
}

// cpHash is the hash of the command and the names of its handles.
func (t *TPM) cpHash(c *command, alg uint16) ([]byte, rc) {
	parts := [][]byte{wire.U32s(nil, c.code)}
	for _, h := range c.handles {
		name, code := t.nameOfHandle(h)
		if code != ok {
			return nil, code
		}
		parts = append(parts, name)
	}
	return sumOf(alg, append(parts, c.raw)...), ok
}

// answers closes each session's part of the exchange: a fresh nonce, the
// encrypted first parameter, an HMAC over the response.
func (t *TPM) answers(c *command, r *reply) []byte {
	for i := range c.auths {
		if s := c.auths[i].s; s != nil {
			s.nonceTPM = random(len(s.nonceTPM))
		}
	}
	if a, _ := c.hidden(attrEncrypt); a != nil {
		field := wire.NewReader(r.params).Sized(MaxCommand)
		a.s.crypt(field, a.value, a.s.nonceTPM, a.nonce, false)
	}
	var out []byte
	for i := range c.auths {
		a := &c.auths[i]
		if a.s == nil {
			out = append(out, 0, 0, attrContinue, 0, 0)
			continue
		}
		out = wire.Sized(out, a.s.nonceTPM)
		out = append(out, a.attrs)
		out = wire.Sized(out, a.answer(c, r))
		if a.attrs&attrContinue == 0 {
			t.closeSession(a.s.handle)
		} else if a.s.kind == kindPolicy && i < c.spec.auths {
			a.s.policy.reset(a.s.alg) // a policy that was used is used up
		}
	}
	return out
}

func (a *auth) answer(c *command, r *reply) []byte {
	if a.bare {
		return nil
	}
	value := a.value
	if !a.keyed {
		value = nil
	}
	hash := sumOf(a.s.alg, wire.U32s(nil, uint32(ok), c.code), r.params)
	return a.s.mac(value, hash, a.s.nonceTPM, a.nonce, nil, a.attrs)
}

func (t *TPM) closeSession(h uint32) bool {
	if t.session(h) == nil {
		return false
	}
	t.sessions[h&^0xFF000000] = nil
	return true
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

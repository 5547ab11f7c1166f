package softtpm

import (
	"encoding/binary"

	"cipherdeck/attest/wire"
)

const (
	tagNoSessions = 0x8001
	tagSessions   = 0x8002
	maxAuth       = 48 // of an auth value, a nonce or an HMAC
	maxDigest     = 48
	maxSessions   = 3 // in one command
)

// Algorithms that only the TPM itself needs (Part 2, table 9).
const (
	algKeyedHash = 0x0008
	algXOR       = 0x000A
	algRSAES     = 0x0015
	algRSAPSS    = 0x0016
	algOAEP      = 0x0017
	algECDH      = 0x0019
)

// command is one parsed command frame (Part 1, section 18).
type command struct {
	spec    spec
	code    uint32
	tag     uint16
	handles []uint32
	auths   []auth // the first spec.auths authorise handles
	raw     []byte // parameters, in clear
	params  *wire.Reader
}

// auth is one entry of the authorization area.
type auth struct {
	session uint32
	nonce   []byte
	attrs   byte
	hmac    []byte

	s     *session // nil for a password
	value []byte   // of the entity it authorised, for the response
	keyed bool     // the response's HMAC has value in its key
	bare  bool     // there is nothing to key it, and the command had none
}

// The attributes of a session in one command (TPMA_SESSION, Part 2, 8.4).
const (
	attrContinue = 1 << 0
	attrDecrypt  = 1 << 5 // of the first command parameter
	attrEncrypt  = 1 << 6 // of the first response parameter
)

// reply collects the parts of a response frame.
type reply struct {
	handles []uint32
	params  []byte
}

func (t *TPM) parseCommand(in []byte) (command, rc) {
	if len(in) > MaxCommand {
		return command{}, rcCommandSize
	}
	r := wire.NewReader(in)
	c := command{tag: r.U16()}
	size := r.U32()
	c.code = r.U32()
	if r.Err() != nil || uint64(size) != uint64(len(in)) {
		return c, rcCommandSize
	}
	if c.tag != tagNoSessions && c.tag != tagSessions {
		return c, rcBadTag
	}
	s, found := t.commands[c.code]
	if !found {
		return c, rcCommandCode
	}
	c.spec = s
	for range s.handles {
		c.handles = append(c.handles, r.U32())
	}
	if r.Err() != nil {
		return c, rcInsufficient
	}
	if code := c.parseAuth(r); code != ok {
		return c, code
	}
	c.raw = append([]byte(nil), r.Take(r.Left())...)
	c.params = wire.NewReader(c.raw)
	return c, ok
}

// parseAuth reads the authorization area: one entry for each handle that needs
// one, and up to two more sessions that only encrypt.
func (c *command) parseAuth(r *wire.Reader) rc {
	if c.tag == tagNoSessions {
		if c.spec.auths > 0 {
			return rcAuthMissing
		}
		return ok
	}
	area := wire.NewReader(r.Take(int(r.U32())))
	if r.Err() != nil {
		return rcAuthSize
	}
	for area.Left() > 0 && area.Err() == nil {
		a := auth{session: area.U32(), nonce: area.Sized(maxAuth), attrs: area.U8(), hmac: area.Sized(maxAuth)}
		c.auths = append(c.auths, a)
	}
	switch {
	case area.Err() != nil, len(c.auths) > maxSessions:
		return rcAuthSize
	case len(c.auths) < c.spec.auths:
		return rcAuthMissing
	case len(c.auths) == 0:
		return rcAuthSize
	}
	return ok
}

// frame lays the response out: header, handles, and when the command had
// sessions the size of the parameters and one answer to each session.
func (r *reply) frame(c *command, answers []byte) []byte {
	body := wire.U32s(nil, r.handles...)
	if c.tag == tagSessions {
		body = binary.BigEndian.AppendUint32(body, uint32(len(r.params)))
	}
	body = append(append(body, r.params...), answers...)
	out := binary.BigEndian.AppendUint16(nil, c.tag)
	out = wire.U32s(out, uint32(10+len(body)), uint32(ok))
	return append(out, body...)
}

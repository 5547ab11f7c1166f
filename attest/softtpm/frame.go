package softtpm

import (
	"encoding/binary"

	"cipherdeck/attest/wire"
)

const (
	tagNoSessions = 0x8001
	tagSessions   = 0x8002
	sessionPW     = 0x40000009 // TPM_RS_PW: a password instead of a session
	maxAuth       = 32
)

// command is one parsed command frame (Part 1, section 18).
type command struct {
	spec      spec
	tag       uint16
	handles   []uint32
	passwords [][]byte // one for each handle that needs authorization
	params    *wire.Reader
}

// reply collects the parts of a response frame.
type reply struct {
	handles []uint32
	params  []byte
}

// spec says how the frame of one command is laid out.
type spec struct {
	handles int // in the handle area
	auths   int // how many of them need authorization
	run     func(*TPM, *command, *reply) rc
}

// lookup is the command table (command codes: Part 2, table 12).
func lookup(code uint32) (spec, bool) {
	switch code {
	case 0x144:
		return spec{run: (*TPM).startup}, true
	case 0x145:
		return spec{run: (*TPM).shutdown}, true
	case 0x17B:
		return spec{run: (*TPM).getRandom}, true
	case 0x17A:
		return spec{run: (*TPM).getCapability}, true
	case 0x131:
		return spec{1, 1, (*TPM).createPrimary}, true
	case 0x153:
		return spec{1, 1, (*TPM).create}, true
	case 0x157:
		return spec{1, 1, (*TPM).load}, true
	case 0x173:
		return spec{1, 0, (*TPM).readPublic}, true
	case 0x165:
		return spec{run: (*TPM).flushContext}, true
	case 0x17E:
		return spec{run: (*TPM).pcrRead}, true
	case 0x182:
		return spec{1, 1, (*TPM).pcrExtend}, true
	case 0x158:
		return spec{1, 1, (*TPM).quote}, true
	}
	return spec{}, false
}

func parseCommand(in []byte) (command, rc) {
	if len(in) > MaxCommand {
		return command{}, rcCommandSize
	}
	r := wire.NewReader(in)
	c := command{tag: r.U16(), params: r}
	size, code := r.U32(), r.U32()
	if r.Err() != nil || uint64(size) != uint64(len(in)) {
		return c, rcCommandSize
	}
	if c.tag != tagNoSessions && c.tag != tagSessions {
		return c, rcBadTag
	}
	s, found := lookup(code)
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
	return c, c.parseAuth(r)
}

// parseAuth reads the authorization area. Only password sessions are built,
// and exactly as many as the command needs.
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
		session, nonce, _ := area.U32(), area.Sized(maxAuth), area.U8()
		password := area.Sized(maxAuth)
		if area.Err() == nil && (session != sessionPW || len(nonce) != 0) {
			return rcHandle // no such session: none can be started
		}
		c.passwords = append(c.passwords, password)
	}
	if area.Err() != nil {
		return rcAuthSize
	}
	if len(c.passwords) != c.spec.auths {
		return rcAuthContext
	}
	return ok
}

// frame lays the response out: header, handles, and when the command had
// sessions the size of the parameters and one empty answer per password.
func (r *reply) frame(c *command) []byte {
	body := wire.U32s(nil, r.handles...)
	if c.tag == tagSessions {
		body = binary.BigEndian.AppendUint32(body, uint32(len(r.params)))
	}
	body = append(body, r.params...)
	if c.tag == tagSessions {
		for range c.passwords {
			body = append(body, 0, 0, 1, 0, 0) // empty nonce, continueSession, empty hmac
		}
	}
	out := binary.BigEndian.AppendUint16(nil, c.tag)
	out = wire.U32s(out, uint32(10+len(body)), uint32(ok))
	return append(out, body...)
}

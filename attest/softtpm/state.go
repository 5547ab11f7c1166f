package softtpm

import (
	"crypto/rand"

	"cipherdeck/attest/wire"
)

// startup is TPM2_Startup (Part 3, 9.3). New has started the TPM already, so
// there is nothing left to start; that keeps PCRs from being reset at will.
func (t *TPM) startup(c *command, _ *reply) rc {
	kind := c.params.U16()
	switch {
	case c.params.End() != nil:
		return rcSize
	case kind > 1:
		return rcValue
	}
	return rcInitialize
}

// shutdown is TPM2_Shutdown (Part 3, 9.4). There is no state to save.
func (t *TPM) shutdown(c *command, _ *reply) rc {
	kind := c.params.U16()
	switch {
	case c.params.End() != nil:
		return rcSize
	case kind > 1:
		return rcValue
	}
	return ok
}

// getRandom is TPM2_GetRandom (Part 3, 16.1): at most 32 bytes a call.
func (t *TPM) getRandom(c *command, r *reply) rc {
	n := c.params.U16()
	if c.params.End() != nil {
		return rcSize
	}
	b := make([]byte, min(n, 32))
	if _, err := rand.Read(b); err != nil {
		return rcFailure
	}
	r.params = wire.Sized(nil, b)
	return ok
}

// Capabilities and properties (Part 2, tables 22 and 23).
const (
	capPCRs       = 5
	capProperties = 6
	maxProperties = 64
)

// properties is what this TPM says of itself, ascending. The manufacturer is
// "SOFT", which is registered to nobody.
func properties() [][2]uint32 {
	word := func(s string) uint32 { return wire.NewReader([]byte(s)).U32() }
	return [][2]uint32{
		{0x100, word("2.0\x00")}, // family
		{0x102, 159},             // revision 1.59
		{0x105, word("SOFT")},    // manufacturer
		{0x106, word("ciph")},    // vendor strings
		{0x107, word("erde")},
		{0x108, word("ck\x00\x00")},
		{0x10B, version >> 16},
		{0x10C, version & 0xFFFF},
		{0x10E, slots},
		{0x112, pcrCount},
		{0x113, 3}, // size of a PCR selection
		{0x11E, MaxCommand},
		{0x11F, MaxCommand},
		{0x120, 32}, // longest digest
	}
}

// getCapability is TPM2_GetCapability (Part 3, 30.2).
func (t *TPM) getCapability(c *command, r *reply) rc {
	what, first, count := c.params.U32(), c.params.U32(), c.params.U32()
	if c.params.End() != nil {
		return rcSize
	}
	switch what {
	case capPCRs:
		all := selection{banks: []bank{{wire.AlgSHA256, []byte{0xFF, 0xFF, 0xFF}}}}
		r.params = append(wire.U32s([]byte{0}, what), all.marshal()...)
	case capProperties:
		more, list := byte(0), []uint32{}
		for _, p := range properties() {
			if p[0] < first {
				continue
			}
			if uint32(len(list)/2) >= min(count, maxProperties) {
				more = 1
				break
			}
			list = append(list, p[0], p[1])
		}
		r.params = wire.U32s([]byte{more}, what, uint32(len(list)/2))
		r.params = wire.U32s(r.params, list...)
	default:
		return rcValue
	}
	return ok
}

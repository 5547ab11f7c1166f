package softtpm

import "cipherdeck/attest/wire"

// Tags of tickets (Part 2, table 19).
const (
	tagCreation   = 0x8021
	tagVerified   = 0x8022
	tagAuthSecret = 0x8023
	tagHashCheck  = 0x8024
)

// ticket proves to this TPM that it said something before: tag, hierarchy and
// a digest that only it can make.
func (t *TPM) ticket(tag uint16, hierarchy uint32, parts ...[]byte) []byte {
	of := t.kept.Seed[:]
	if hierarchy == handleNull {
		of = t.null[:]
	}
	key := kdfa(wire.AlgSHA256, of, "PROOF", wire.U32s(nil, hierarchy), t.proofOf(tag), 256)
	return wire.Sized(wire.U32s(wire.U16s(nil, tag), hierarchy), macOf(wire.AlgSHA256, key, parts...))
}

// proofOf ties tickets to the owner as well: none outlives him.
func (t *TPM) proofOf(tag uint16) []byte {
	out := wire.U16s(nil, tag)
	if t.kept.Cleared > 0 {
		out = wire.U32s(out, t.kept.Cleared)
	}
	return out
}

// noTicket says that nothing is proven.
func noTicket(tag uint16) []byte {
	return wire.Sized(wire.U32s(wire.U16s(nil, tag), handleNull), nil)
}

package softtpm

import (
	"sort"

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

// shutdown is TPM2_Shutdown (Part 3, 9.4): what is used after it is no longer
// an orderly stop.
func (t *TPM) shutdown(c *command, _ *reply) rc {
	kind := c.params.U16()
	switch {
	case c.params.End() != nil:
		return rcSize
	case kind > 1:
		return rcValue
	}
	t.kept.Orderly = true
	t.save()
	t.kept.Orderly = false
	return ok
}

// getRandom is TPM2_GetRandom (Part 3, 16.1): at most 48 bytes a call.
func (t *TPM) getRandom(c *command, r *reply) rc {
	n := c.params.U16()
	if c.params.End() != nil {
		return rcSize
	}
	r.params = wire.Sized(nil, random(int(min(n, maxDigest))))
	return ok
}

// Capabilities (Part 2, table 22).
const (
	capAlgs       = 0
	capHandles    = 1
	capCommands   = 2
	capPCRs       = 5
	capProperties = 6
	capCurves     = 8
	maxListed     = 64
)

// properties is what this TPM says of itself, ascending (Part 2, table 23). The
// manufacturer is "SOFT", which is registered to nobody.
func (t *TPM) properties() [][]uint32 {
	word := func(s string) uint32 { return wire.NewReader([]byte(s)).U32() }
	permanent := uint32(1 << 10) // tpmGeneratedEPS
	for i, set := range []bool{len(t.kept.Owner) != 0, len(t.kept.Endorse) != 0, len(t.kept.Lockout) != 0} {
		if set {
			permanent |= 1 << i
		}
	}
	if t.lock.locked(t.clock()) {
		permanent |= 1 << 9
	}
	return [][]uint32{
		{0x100, word("2.0\x00")}, // family
		{0x102, 159},             // revision 1.59
		{0x105, word("SOFT")},    // manufacturer
		{0x106, word("ciph")},    // vendor strings
		{0x107, word("erde")},
		{0x108, word("ck\x00\x00")},
		{0x10B, version >> 16},
		{0x10C, version & 0xFFFF},
		{0x10D, 1024}, // input buffer
		{0x10E, slots},
		{0x10F, maxPersistent},
		{0x110, sessionSlots},
		{0x111, sessionSlots},
		{0x112, pcrCount},
		{0x113, 3}, // size of a PCR selection
		{0x117, maxNVData},
		{0x11E, MaxCommand},
		{0x11F, MaxCommand},
		{0x120, maxDigest},
		{0x200, permanent},
		{0x20E, t.lock.Tries},
		{0x20F, t.lock.Max},
		{0x210, t.lock.Recovery},
	}
}

// getCapability is TPM2_GetCapability (Part 3, 30.2).
func (t *TPM) getCapability(c *command, r *reply) rc {
	what, first, count := c.params.U32(), c.params.U32(), c.params.U32()
	if c.params.End() != nil {
		return rcSize
	}
	if what == capPCRs {
		all := selection{}
		for _, alg := range []uint16{wire.AlgSHA256, wire.AlgSHA384} {
			all.banks = append(all.banks, bank{alg, []byte{0xFF, 0xFF, 0xFF}})
		}
		r.params = append(wire.U32s([]byte{0}, what), all.marshal()...)
		return ok
	}
	var entries [][]uint32 // the first number of each is what it is sorted by
	width := 4
	switch what {
	case capProperties:
		entries = t.properties()
	case capHandles:
		entries = t.handles(first)
	case capCommands:
		for cc := range t.commands {
			entries = append(entries, []uint32{cc})
		}
	case capCurves:
		entries, width = [][]uint32{{wire.CurveP256}, {wire.CurveP384}}, 2
	case capAlgs:
		return t.algorithms(r, first, count)
	default:
		return rcValue
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i][0] < entries[j][0] })
	more, n := byte(0), uint32(0)
	var list []byte
	for _, e := range entries {
		if e[0] < first {
			continue
		}
		if n >= min(count, maxListed) {
			more = 1
			break
		}
		n++
		for _, v := range e {
			if width == 2 {
				list = wire.U16s(list, uint16(v))
			} else {
				list = wire.U32s(list, v)
			}
		}
	}
	r.params = append(wire.U32s([]byte{more}, what, n), list...)
	return ok
}

// handles lists what is loaded or defined of the kind of handle asked for.
func (t *TPM) handles(first uint32) (out [][]uint32) {
	add := func(h uint32) {
		if h>>24 == first>>24 {
			out = append(out, []uint32{h})
		}
	}
	for i, o := range t.objects {
		if o != nil {
			add(firstTransient + uint32(i))
		}
	}
	for h := range t.lasting {
		add(h)
	}
	for _, x := range t.kept.NV {
		add(x.Handle)
	}
	for _, s := range t.sessions {
		if s != nil {
			add(s.handle)
		}
	}
	for _, h := range []uint32{wire.HandleOwner, handleNull, handleLockout, wire.HandleEndorsement} {
		add(h)
	}
	for h := range uint32(pcrCount) {
		add(h)
	}
	return out
}

// algorithms lists what is built, with its attributes (TPMS_ALG_PROPERTY).
func (t *TPM) algorithms(r *reply, first, count uint32) rc {
	const asymmetric, symmetric, hash, object, signing, encrypting, method = 1, 2, 4, 8, 1 << 8, 1 << 9, 1 << 10
	all := []struct {
		alg   uint16
		attrs uint32
	}{
		{wire.AlgRSA, asymmetric | object}, {wire.AlgAES, symmetric}, {algKeyedHash, hash | object | encrypting},
		{wire.AlgSHA256, hash}, {wire.AlgSHA384, hash}, {wire.AlgRSASSA, asymmetric | signing}, {algRSAPSS, asymmetric | signing},
		{algOAEP, asymmetric | hash | encrypting}, {wire.AlgECDSA, asymmetric | signing | method}, {algECDH, asymmetric | method},
		{wire.AlgECC, asymmetric | object}, {wire.AlgCFB, symmetric | encrypting},
	}
	var list []byte
	n := uint32(0)
	for _, a := range all {
		if uint32(a.alg) >= first && n < count {
			list = wire.U32s(wire.U16s(list, a.alg), a.attrs)
			n++
		}
	}
	r.params = append(wire.U32s([]byte{0}, capAlgs, n), list...)
	return ok
}

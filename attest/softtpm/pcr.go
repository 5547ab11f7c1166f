package softtpm

import (
	"cipherdeck/attest/wire"
)

const (
	pcrCount       = 24
	firstLocality4 = 17 // PCRs 17 to 22 belong to a measured launch
	lastLocality4  = 22
	readAtOnce     = 8  // TPM2_PCR_Read returns at most this many
	maxBanks       = 16 // of a selection
)

// banks is the registers of each bank.
type banks map[uint16]*[pcrCount][]byte

func newBanks() banks {
	b := banks{}
	for _, alg := range []uint16{wire.AlgSHA256, wire.AlgSHA384} {
		var regs [pcrCount][]byte
		for i := range regs {
			regs[i] = make([]byte, hashSize(alg))
			if i >= firstLocality4 && i <= lastLocality4 {
				for j := range regs[i] {
					regs[i][j] = 0xFF
				}
			}
		}
		b[alg] = &regs
	}
	return b
}

// extend is new = H(old ‖ digest).
func (t *TPM) extend(alg uint16, pcr uint32, digest []byte) {
	regs := t.pcrs[alg]
	regs[pcr] = sumOf(alg, regs[pcr], digest)
}

// selection is a TPML_PCR_SELECTION: which PCRs of which bank. Banks that do
// not exist are kept empty, as Part 3 wants.
type selection struct{ banks []bank }

type bank struct {
	alg  uint16
	bits []byte
}

func parseSelection(r *wire.Reader) (selection, rc) {
	var s selection
	n := r.U32()
	if n > maxBanks {
		return s, rcSize
	}
	for range n {
		b := bank{alg: r.U16(), bits: make([]byte, 3)}
		size := int(r.U8())
		raw := r.Take(size)
		if r.Err() != nil {
			return s, rcInsufficient
		}
		if size < 3 || size > 4 || (size == 4 && raw[3] != 0) {
			return s, rcValue
		}
		if hashFunc(b.alg) != nil {
			copy(b.bits, raw)
		}
		s.banks = append(s.banks, b)
	}
	return s, ok
}

func (s selection) marshal() []byte {
	out := wire.U32s(nil, uint32(len(s.banks)))
	for _, b := range s.banks {
		out = append(wire.U16s(out, b.alg), byte(len(b.bits)))
		out = append(out, b.bits...)
	}
	return out
}

// each calls f for every selected PCR, until f returns false.
func (s selection) each(f func(bank, pcr int) bool) {
	for i, b := range s.banks {
		for pcr := range pcrCount {
			if b.bits[pcr/8]&(1<<(pcr%8)) != 0 && !f(i, pcr) {
				return
			}
		}
	}
}

func (s selection) empty() bool {
	none := true
	s.each(func(int, int) bool { none = false; return false })
	return none
}

// digest is a hash of the selected values, in order (Part 1, section 17.6).
func (t *TPM) digest(alg uint16, s selection) []byte {
	h := hashFunc(alg)()
	s.each(func(i, pcr int) bool {
		h.Write(t.pcrs[s.banks[i].alg][pcr])
		return true
	})
	return h.Sum(nil)
}

// pcrRead is TPM2_PCR_Read (Part 3, 22.4).
func (t *TPM) pcrRead(c *command, r *reply) rc {
	in, code := parseSelection(c.params)
	if code != ok {
		return code
	}
	if c.params.End() != nil {
		return rcSize
	}
	out := selection{}
	for _, b := range in.banks {
		out.banks = append(out.banks, bank{alg: b.alg, bits: make([]byte, 3)})
	}
	var values [][]byte
	in.each(func(i, pcr int) bool {
		out.banks[i].bits[pcr/8] |= 1 << (pcr % 8)
		values = append(values, t.pcrs[in.banks[i].alg][pcr])
		return len(values) < readAtOnce
	})
	r.params = append(wire.U32s(nil, t.updates), out.marshal()...)
	r.params = wire.U32s(r.params, uint32(len(values)))
	for _, v := range values {
		r.params = wire.Sized(r.params, v)
	}
	return ok
}

// register checks that PCR i may be extended at locality 0.
func register(i uint32) rc {
	switch {
	case i >= pcrCount:
		return rcValue
	case i >= firstLocality4 && i <= lastLocality4:
		return rcLocality
	}
	return ok
}

// pcrExtend is TPM2_PCR_Extend (Part 3, 22.2).
func (t *TPM) pcrExtend(c *command, _ *reply) rc {
	n := c.params.U32()
	if n > maxBanks {
		return rcSize
	}
	type one struct {
		alg    uint16
		digest []byte
	}
	var all []one
	for range n {
		alg := c.params.U16()
		if c.params.Err() == nil && hashFunc(alg) == nil {
			return rcHash
		}
		all = append(all, one{alg, c.params.Take(hashSize(alg))})
	}
	if c.params.End() != nil {
		return rcSize
	}
	if code := register(c.handles[0]); code != ok {
		return code
	}
	for _, o := range all {
		t.extend(o.alg, c.handles[0], o.digest)
		t.updates++
	}
	return ok
}

// pcrEvent is TPM2_PCR_Event (Part 3, 22.3): the TPM hashes the event itself.
func (t *TPM) pcrEvent(c *command, r *reply) rc {
	data := c.params.Sized(1024)
	if c.params.End() != nil {
		return rcSize
	}
	if code := register(c.handles[0]); code != ok {
		return code
	}
	r.params = wire.U32s(nil, uint32(len(t.pcrs)))
	for _, alg := range []uint16{wire.AlgSHA256, wire.AlgSHA384} {
		d := sumOf(alg, data)
		t.extend(alg, c.handles[0], d)
		t.updates++
		r.params = append(wire.U16s(r.params, alg), d...)
	}
	return ok
}

// pcrReset is TPM2_PCR_Reset (Part 3, 22.8): of 16 and 23 at locality 0, which
// is why these two prove nothing.
func (t *TPM) pcrReset(c *command, _ *reply) rc {
	i := c.handles[0]
	switch {
	case c.params.End() != nil:
		return rcSize
	case i >= pcrCount:
		return rcValue
	case i != 16 && i != 23:
		return rcLocality
	}
	for alg, regs := range t.pcrs {
		regs[i] = make([]byte, hashSize(alg))
	}
	t.updates++
	return ok
}

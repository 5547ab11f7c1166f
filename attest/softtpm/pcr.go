package softtpm

import (
	"crypto/sha256"

	"cipherdeck/attest/wire"
)

const (
	pcrCount       = 24
	firstLocality4 = 17 // PCRs 17 to 22 belong to a measured launch
	lastLocality4  = 22
	readAtOnce     = 8  // TPM2_PCR_Read returns at most this many
	maxBanks       = 16 // of a selection
)

// selection is a TPML_PCR_SELECTION: which PCRs of which bank. Banks other
// than SHA-256 are kept empty, as Part 3 wants of banks that do not exist.
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
		if b.alg == wire.AlgSHA256 {
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

// digest is SHA-256 of the selected values, in order (Part 1, section 17.6).
func (t *TPM) digest(s selection) []byte {
	h := sha256.New()
	s.each(func(_, pcr int) bool {
		h.Write(t.pcrs[pcr][:])
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
	var values [][32]byte
	in.each(func(i, pcr int) bool {
		out.banks[i].bits[pcr/8] |= 1 << (pcr % 8)
		values = append(values, t.pcrs[pcr])
		return len(values) < readAtOnce
	})
	r.params = append(wire.U32s(nil, t.updates), out.marshal()...)
	r.params = wire.U32s(r.params, uint32(len(values)))
	for _, v := range values {
		r.params = wire.Sized(r.params, v[:])
	}
	return ok
}

// pcrExtend is TPM2_PCR_Extend (Part 3, 22.2): new = SHA-256(old ‖ digest).
func (t *TPM) pcrExtend(c *command, _ *reply) rc {
	i := c.handles[0]
	n := c.params.U32()
	if n > maxBanks {
		return rcSize
	}
	var digests [][]byte
	for range n {
		if alg := c.params.U16(); c.params.Err() == nil && alg != wire.AlgSHA256 {
			return rcHash
		}
		digests = append(digests, c.params.Take(sha256.Size))
	}
	switch {
	case c.params.End() != nil:
		return rcSize
	case i >= pcrCount:
		return rcValue
	case i >= firstLocality4 && i <= lastLocality4:
		return rcLocality
	}
	for _, d := range digests {
		t.pcrs[i] = sha256.Sum256(append(t.pcrs[i][:], d...))
		t.updates++
	}
	return ok
}

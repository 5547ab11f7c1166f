package tpm2

import (
	"encoding/binary"
	"testing"

	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/wire"
)

// FuzzParseAttest: whatever is accepted has exactly one encoding.
func FuzzParseAttest(f *testing.F) {
	e, _, _ := measured(f, softtpm.New(softtpm.Config{}))
	f.Add(e.Quote, e.Signature, e.AK)
	forged := newForger(f)
	forged.replayed(f)
	g := forged.evidence(f)
	f.Add(g.Quote, g.Signature, g.AK)
	f.Add([]byte{0xff, 'T', 'C', 'G'}, []byte{0, 0x18, 0, 0x0b, 0, 1, 1, 0, 1, 1}, []byte{0, 0x23})
	f.Fuzz(func(t *testing.T, quote, sig, key []byte) {
		if q, err := ParseQuote(quote); err == nil {
			if got := q.marshal(); string(got) != string(quote) {
				t.Fatalf("quote %x is also %x", quote, got)
			}
		}
		if s, err := ParseSignature(sig); err == nil {
			for _, n := range numbers(s) {
				if len(n) == 0 || len(n) > 48 {
					t.Fatalf("number of %d bytes", len(n))
				}
			}
		}
		if k, err := ParseAK(key); err == nil && len(k.Name) != 34 && len(k.Name) != 50 {
			t.Fatalf("name of %d bytes", len(k.Name))
		}
	})
}

func numbers(s Signature) [][]byte {
	if s.R == nil {
		return nil
	}
	return [][]byte{s.R.Bytes(), s.S.Bytes()}
}

// marshal is the inverse of ParseQuote, written apart from it.
func (q Quoted) marshal() []byte {
	out := wire.U16s(wire.U32s(nil, wire.Magic), wire.TagQuote)
	out = wire.Sized(wire.Sized(out, q.QualifiedSigner), q.Bind)
	out = binary.BigEndian.AppendUint64(out, q.Boot.Clock)
	out = wire.U32s(out, q.Boot.ResetCount, q.Boot.RestartCount)
	safe := byte(0)
	if q.Boot.Safe {
		safe = 1
	}
	out = binary.BigEndian.AppendUint64(append(out, safe), q.Boot.Firmware)
	out = append(wire.U16s(wire.U32s(out, 1), uint16(q.Bank)), 3)
	return wire.Sized(append(out, q.Select[:]...), q.Digest[:])
}

package tpm2

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/attest/wire"
)

// Every kind of key passes when nothing is bent, so that a row below fails for
// what it says.
func TestForgersOfEveryKind(t *testing.T) {
	for name, by := range map[string]func(testing.TB) *forger{"P-256": newForger, "P-384": p384Forger, "RSA": rsaForger} {
		f := by(t)
		f.replayed(t)
		v, err := Verifier{PCRs: f.pcrs, Bank: f.bank}.Verify(t.Context(), f.evidence(t), f.expect)
		if err != nil || !v.OK() {
			t.Errorf("%s: %v %+v", name, err, v.Broken())
		}
	}
}

// rsaNegatives are attacks by the kind of key: RSA. A TPM names a scheme and a
// hash in the key and again in each signature, and a verifier that believes the
// second is told by the attacker how to check.
func rsaNegatives() []negative {
	sig, ak := attest.LinkSignature, attest.LinkAK
	return []negative{
		{name: "8 RSA signature flipped", by: rsaForger, sent: func(e *attest.Evidence) { e.Signature[200] ^= 1 }, link: sig, found: ErrSignature.Error()},
		{name: "9 RSA relabelled SHA-384", by: rsaForger, after: func(f *forger) { f.sigHash = wire.AlgSHA384 }, link: sig, found: ErrSignature.Error()},
		{name: "9 RSA relabelled SHA-1", by: rsaForger, after: func(f *forger) { f.sigHash = 4 }, link: sig, found: ErrAlgorithm.Error()},
		{name: "9 RSA key for SHA-384, signed with SHA-256", by: rsaForger, after: func(f *forger) { f.scheme[1] = wire.AlgSHA384 }, link: sig, found: ErrSignature.Error()},
		{name: "9 RSA key with SHA-1", by: rsaForger, after: func(f *forger) { f.scheme[1] = 4 }, link: ak, found: "hash 0004"},
		{name: "10 RSA key, signature says PSS", by: rsaForger, after: func(f *forger) { f.pss, f.sigAlg = true, 0x16 }, link: sig, found: ErrAlgorithm.Error()},
		{name: "10 RSA key, PSS signature that says RSASSA", by: rsaForger, after: func(f *forger) { f.pss = true }, link: sig, found: ErrSignature.Error()},
		{name: "10 RSA key for PSS", by: rsaForger, after: func(f *forger) { f.scheme[0] = 0x16 }, link: ak, found: "scheme 0016"},
		{name: "10 RSA key for ECDSA", by: rsaForger, after: func(f *forger) { f.scheme[0] = wire.AlgECDSA }, link: ak, found: "scheme 0018"},
		{name: "10 RSA key without a scheme", by: rsaForger, after: func(f *forger) { f.scheme = []uint16{wire.AlgNull} }, link: ak, found: "scheme 0010"},
		{name: "10 RSA key, ECDSA signature", by: rsaForger, sent: func(e *attest.Evidence) {
			e.Signature = wire.Sized(wire.Sized(wire.U16s(nil, wire.AlgECDSA, wire.AlgSHA256), bytes.Repeat([]byte{1}, 32)), bytes.Repeat([]byte{1}, 32))
		}, link: sig, found: ErrSignature.Error()},
		{name: "10 ECC key, RSA signature", sent: func(e *attest.Evidence) {
			e.Signature = wire.Sized(wire.U16s(nil, wire.AlgRSASSA, wire.AlgSHA256), bytes.Repeat([]byte{1}, 256))
		}, link: sig, found: ErrSignature.Error()},
		{name: "10 ECC key for RSASSA", after: func(f *forger) { f.scheme[0] = wire.AlgRSASSA }, link: ak, found: "scheme 0014"},
		{name: "11 RSA of 1024 bits", by: rsaForger, after: func(f *forger) {
			f.bits, f.n = 1024, append(bytes.Repeat([]byte{0xC1}, 127), 1)
		}, link: ak, found: "RSA of 1024 bits"},
		{name: "11 RSA of 1024 bits that says 2048", by: rsaForger, after: func(f *forger) { f.n = append(bytes.Repeat([]byte{0xC1}, 127), 1) }, link: ak, found: "modulus of 1024 bits, want 2048"},
		{name: "11 RSA of 2048 bits that says 3072", by: rsaForger, after: func(f *forger) { f.bits = 3072 }, link: ak, found: "modulus of 2048 bits, want 3072"},
		{name: "11 RSA of 2047 bits", by: rsaForger, after: func(f *forger) { f.n = f.rsa.N.Bytes(); f.n[0] &= 0x7F }, link: ak, found: "want 2048"},
		{name: "11 RSA modulus even", by: rsaForger, after: func(f *forger) { f.n = f.rsa.N.Bytes(); f.n[255] &= 0xFE }, link: ak, found: "odd"},
		{name: "11 RSA modulus beyond 4096 bits", by: rsaForger, after: func(f *forger) { f.bits, f.n = 8192, bytes.Repeat([]byte{0xC1}, 1024) }, link: ak, found: ErrSyntax.Error()},
		{name: "11 RSA modulus empty", by: rsaForger, after: func(f *forger) { f.n = []byte{} }, link: ak, found: "modulus of 0 bits"},
		{name: "11 RSA exponent 1", by: rsaForger, after: func(f *forger) { f.exp = 1 }, link: ak, found: "exponent 1"},
		{name: "11 RSA exponent 3", by: rsaForger, after: func(f *forger) { f.exp = 3 }, link: ak, found: "exponent 3"},
		{name: "11 RSA exponent 65537 written out", by: rsaForger, after: func(f *forger) { f.exp = 65537 }, link: ak, found: "want the default"},
		{name: "11 RSA signature zero", by: rsaForger, after: func(f *forger) { f.sig = make([]byte, 256) }, link: sig, found: ErrSignature.Error()},
		{name: "11 RSA signature empty", by: rsaForger, after: func(f *forger) { f.sig = []byte{} }, link: sig, found: ErrSignature.Error()},
		{name: "11 RSA signature of the modulus", by: rsaForger, after: func(f *forger) { f.sig = f.rsa.N.Bytes() }, link: sig, found: ErrSignature.Error()},
		{name: "11 RSA signature short", by: rsaForger, sent: func(e *attest.Evidence) { e.Signature = wire.Sized(e.Signature[:4:4], e.Signature[6:261]) }, link: sig, found: ErrSignature.Error()},
		{name: "11 RSA signature padded", by: rsaForger, sent: func(e *attest.Evidence) {
			e.Signature = wire.Sized(e.Signature[:4:4], append([]byte{0}, e.Signature[6:]...))
		}, link: sig, found: ErrSignature.Error()},
		{name: "11 RSA signature beyond 512 bytes", by: rsaForger, after: func(f *forger) { f.sig = make([]byte, 513) }, link: sig, found: ErrSyntax.Error()},
		{name: "12 RSA key swapped", by: rsaForger, sent: func(e *attest.Evidence) { e.AK[len(e.AK)-9] ^= 1 }, link: sig, found: "signer"},
		{name: "13 RSA key not restricted", by: rsaForger, after: func(f *forger) { f.attrs &^= wire.AttrRestricted }, link: ak, found: ErrAK.Error()},
		{name: "7 RSA key trailing", by: rsaForger, after: func(f *forger) { f.keyTail = []byte{0} }, link: ak, found: "trailing"},
		{name: "27 PCR value changed, RSA", by: rsaForger, sent: func(e *attest.Evidence) { e.PCRs[0].Value[0] ^= 1 }, link: attest.LinkPCR, found: "PCR digest"},
	}
}

// p384Negatives are attacks by the kind of key: P-384 with SHA-384.
func p384Negatives() []negative {
	sig, ak := attest.LinkSignature, attest.LinkAK
	return []negative{
		{name: "8 P-384 signature flipped", by: p384Forger, sent: func(e *attest.Evidence) { e.Signature[40] ^= 1 }, link: sig, found: ErrSignature.Error()},
		{name: "9 P-384 signed with SHA-256", by: p384Forger, after: func(f *forger) { f.sigHash, f.hash, f.digest = wire.AlgSHA256, crypto.SHA256, make([]byte, 48) }, link: sig, found: ErrSignature.Error()},
		{name: "9 P-384 relabelled SHA-256", by: p384Forger, after: func(f *forger) { f.sigHash = wire.AlgSHA256 }, link: sig, found: ErrSignature.Error()},
		{name: "9 P-384 relabelled SHA-512", by: p384Forger, after: func(f *forger) { f.sigHash = 0x0D }, link: sig, found: ErrAlgorithm.Error()},
		{name: "9 P-384 key for SHA-512", by: p384Forger, after: func(f *forger) { f.scheme[1] = 0x0D }, link: ak, found: "hash 000d"},
		{name: "11 r of 32 bytes on P-384", by: p384Forger, sent: func(e *attest.Evidence) {
			e.Signature = wire.Sized(wire.Sized(e.Signature[:4:4], e.Signature[22:54]), e.Signature[56:104])
		}, link: sig, found: ErrSignature.Error()},
		{name: "11 r beyond 48 bytes on P-384", by: p384Forger, after: func(f *forger) { f.r = make([]byte, 49) }, link: sig, found: ErrSyntax.Error()},
		{name: "11 r zero on P-384", by: p384Forger, after: func(f *forger) { f.r = make([]byte, 48) }, link: sig, found: "zero"},
		{name: "11 r and s of P-384 beyond n", by: p384Forger, after: func(f *forger) { f.r = bytes.Repeat([]byte{255}, 48); f.s = f.r }, link: sig, found: ErrSignature.Error()},
		{name: "11 r and s of 48 bytes on P-256", after: func(f *forger) { f.r, f.s = bytes.Repeat([]byte{1}, 48), bytes.Repeat([]byte{1}, 48) }, link: sig, found: ErrSignature.Error()},
		{name: "12 signature by a key on P-256", by: p384Forger, sent: func(e *attest.Evidence) {
			h := sha512.Sum384(e.Quote)
			r, s, err := ecdsa.Sign(rand.Reader, otherKey(), h[:])
			if err != nil {
				panic(err)
			}
			e.Signature = wire.Sized(wire.Sized(e.Signature[:4:4], r.FillBytes(make([]byte, 32))), s.FillBytes(make([]byte, 32)))
		}, link: sig, found: ErrSignature.Error()},
		{name: "12 key on P-256 that says P-384", after: func(f *forger) { f.curve = wire.CurveP384 }, link: ak, found: "P-384"},
		{name: "12 key on P-384 that says P-256", by: p384Forger, after: func(f *forger) { f.curve = wire.CurveP256 }, link: ak, found: ErrSyntax.Error()},
		{name: "12 key on P-521", by: p384Forger, after: func(f *forger) { f.curve = 5 }, link: ak, found: ErrAlgorithm.Error()},
		{name: "19 SHA-256 bank where SHA-384 was asked for", by: p384Forger, after: func(f *forger) { f.alg = wire.AlgSHA256 }, link: attest.LinkPCR, found: "asked for bank 000c, got 000b"},
		{name: "19 SHA-384 bank where SHA-256 was asked for", after: func(f *forger) { f.alg = wire.AlgSHA384 }, link: attest.LinkPCR, found: "asked for bank 000b, got 000c"},
		{name: "25 PCR digest of SHA-256 by a key with SHA-384", by: p384Forger, after: func(f *forger) { f.digest = digestOf(32, f.values) }, link: sig, found: "PCR digest of 32 bytes"},
		{name: "25 PCR digest of SHA-384 by a key with SHA-256", after: func(f *forger) { f.digest = digestOf(48, f.values) }, link: sig, found: "PCR digest of 48 bytes"},
		{name: "25 PCR value of 32 bytes in the bank of SHA-384", by: p384Forger, sent: func(e *attest.Evidence) { e.PCRs[1].Value = e.PCRs[1].Value[:32] }, link: attest.LinkPCR, found: "value of 32 bytes, want 48"},
		{name: "27 PCR value changed, SHA-384", by: p384Forger, sent: func(e *attest.Evidence) { e.PCRs[0].Value[47] ^= 1 }, link: attest.LinkPCR, found: "PCR digest"},
	}
}

// CheckQuote is given registers with their values, and no list of its own to
// hold them against: equal values must not change places.
func TestCheckQuoteWantsOrder(t *testing.T) {
	f := newForger(t)
	f.replayed(t)
	e := f.evidence(t)
	ak, err := ParseAK(e.AK)
	if err != nil {
		t.Fatal(err)
	}
	check := func(values ...attest.PCRValue) error {
		return CheckQuote(ak, e.Quote, e.Signature, f.bind, attest.SHA256, values)
	}
	a, b, c := e.PCRs[0], e.PCRs[1], e.PCRs[2]
	if err := check(a, b, c); err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][]attest.PCRValue{
		"another order": {b, a, c}, "twice": {a, a, c}, "one less": {a, c}, "none": nil, "beyond 23": {a, b, c, {Index: 24, Value: c.Value}},
	} {
		if err := check(values...); !errors.Is(err, ErrSelection) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

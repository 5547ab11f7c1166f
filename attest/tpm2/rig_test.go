package tpm2

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/links"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/softtpm"
)

func otherKey() *ecdsa.PrivateKey {
	d := sha256.Sum256([]byte("another AK"))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		panic(err)
	}
	return k
}

// asked is more than the eight PCRs that a TPM reads at once.
func asked() []uint8 { return []uint8{0, 2, 4, 7, 9, 11, 12, 13, 14, 15} }

// measured runs the attesting side on a real transport and returns what the
// verifying side needs.
func measured(t testing.TB, tpm transport.TPM) (attest.Evidence, attest.Expect, *AK) {
	t.Helper()
	f := newForger(t)
	b, err := eventlog.NewBuilder(tpm)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range f.log[:len(f.log)-1] {
		if err := b.Add(e.Name, e.Digest, e.Text); err != nil {
			t.Fatal(err)
		}
	}
	log, err := b.Close()
	if err != nil {
		t.Fatal(err)
	}
	ak, err := NewAK(tpm)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Quote(tpm, ak, f.expect.Bind, attest.SHA256, asked())
	if err != nil {
		t.Fatal(err)
	}
	man, err := manifest.Sign(f.golden, f.signers...)
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{
		V: Version, Type: Type, AK: ak.Public, Quote: a.Quote, Signature: a.Signature,
		PCRs: a.PCRs, AppLog: log, Manifest: man, JobKey: f.jobKey,
	}, f.expect, ak
}

func verifyMeasured(t *testing.T, tpm transport.TPM) *AK {
	t.Helper()
	e, x, ak := measured(t, tpm)
	v, err := Verifier{PCRs: asked()}.Verify(t.Context(), e, x)
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK() || v.Word() != "demo" {
		t.Fatalf("refused: %+v", v.Broken())
	}
	e.PCRs[3].Value[0] ^= 1
	if v, err := (Verifier{PCRs: asked()}).Verify(t.Context(), e, x); err != nil || v.OK() {
		t.Fatalf("changed PCR accepted: %v", err)
	}
	return ak
}

func TestSoftTPM(t *testing.T) {
	tpm := softtpm.New(softtpm.Config{Seed: [32]byte{5}})
	ak := verifyMeasured(t, tpm)
	if err := ak.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := NewAK(softtpm.New(softtpm.Config{Seed: [32]byte{5}, ResetCount: 1}))
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(again.Public) != hex.EncodeToString(ak.Public) {
		t.Fatal("the AK changed with a restart")
	}
}

func BenchmarkSoftQuote(b *testing.B) {
	tpm := softtpm.New(softtpm.Config{})
	ak, err := NewAK(tpm)
	if err != nil {
		b.Fatal(err)
	}
	bind := sum("bind")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Quote(tpm, ak, bind[:], attest.SHA256, asked()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	e, x, _ := measured(b, softtpm.New(softtpm.Config{}))
	b.ReportAllocs()
	for b.Loop() {
		v, err := Verifier{PCRs: asked()}.Verify(b.Context(), e, x)
		if err != nil || !v.OK() {
			b.Fatal(err)
		}
	}
}

// The core alone: parse the quote, the key and the signature, and verify.
func BenchmarkVerifyQuote(b *testing.B) {
	e, x, _ := measured(b, softtpm.New(softtpm.Config{}))
	b.ReportAllocs()
	for b.Loop() {
		t := &trial{pcrSet: asked(), bank: attest.SHA256, Trial: links.Trial{E: e, X: x, V: &attest.Verdict{}}}
		t.key, t.keyErr = ParseAK(e.AK)
		for _, run := range []func(*trial) (attest.State, string){(*trial).ak, (*trial).signature, (*trial).binding, (*trial).pcrs} {
			if s, found := run(t); s != attest.Pass {
				b.Fatal(found)
			}
		}
	}
}

// The bare ECDSA verification, to hold the core against.
func BenchmarkECDSA(b *testing.B) {
	e, _, _ := measured(b, softtpm.New(softtpm.Config{}))
	ak, err := ParseAK(e.AK)
	if err != nil {
		b.Fatal(err)
	}
	sig, err := ParseSignature(e.Signature)
	if err != nil {
		b.Fatal(err)
	}
	h := sha256.Sum256(e.Quote)
	for b.Loop() {
		if !ecdsa.Verify(ak.Key.(*ecdsa.PublicKey), h[:], sig.R, sig.S) {
			b.Fatal("bad signature")
		}
	}
}

// racing extends PCR 15 just before each of the first n quotes.
type racing struct {
	transport.TPM
	n int
}

func (r *racing) Send(in []byte) ([]byte, error) {
	const quoteCode = 0x58
	if len(in) > 9 && in[8] == 1 && in[9] == quoteCode && r.n > 0 {
		r.n--
		d := sum("event")
		_, err := gotpm.PCRExtend{
			PCRHandle: gotpm.AuthHandle{Handle: 15, Auth: gotpm.PasswordAuth(nil)},
			Digests:   gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: d[:]}}},
		}.Execute(r.TPM)
		if err != nil {
			return nil, err
		}
	}
	return r.TPM.Send(in)
}

// Values read before another program extended a PCR are never sent.
func TestQuoteStartsAgainWhenPCRsMove(t *testing.T) {
	soft := softtpm.New(softtpm.Config{})
	ak, err := NewAK(soft)
	if err != nil {
		t.Fatal(err)
	}
	bind := sum("bind")
	a, err := Quote(&racing{soft, 1}, ak, bind[:], attest.SHA256, asked())
	if err != nil {
		t.Fatal(err)
	}
	q, err := ParseQuote(a.Quote)
	if err != nil || !bytes.Equal(digestOf(32, a.PCRs), q.Digest) {
		t.Fatalf("values are not those quoted: %v", err)
	}
	if _, err := Quote(&racing{soft, 99}, ak, bind[:], attest.SHA256, asked()); !errors.Is(err, ErrUnstable) {
		t.Fatalf("PCRs never at rest: %v", err)
	}
	if _, err := Quote(soft, ak, bind[:], attest.SHA256, []uint8{14, 7}); !errors.Is(err, ErrAsk) {
		t.Fatalf("unordered PCRs: %v", err)
	}
}

package snp

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	sevtest "github.com/google/go-sev-guest/testing"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/report"
)

// Offsets of a report (document 56860, table 23).
const (
	atPolicy, atVMPL, atData, atMeasure, atReported, atChip, atSignature = 0x08, 0x30, 0x50, 0x90, 0x180, 0x1A0, 0x2A0

	bitMigrate, bitDebug = 18, 19 // of the policy
)

// then is inside the dates of the real certificate.
func then() time.Time { return time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC) }

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signer() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) }

// golden is a signed manifest for one measurement.
func golden(t testing.TB, measure []byte, floors ...attest.Floor) []byte {
	t.Helper()
	m := attest.Manifest{V: 2, Product: "demo", Version: 1, NotBefore: then().Unix() - 1, NotAfter: then().Add(time.Hour).Unix(),
		Baselines: []attest.Baseline{{Name: "snp", Reports: [][]byte{measure}}}, Deny: attest.Deny{Version: 1, Floors: floors}}
	raw, err := manifest.Sign(m, signer())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// real is the report of a real Milan processor. Its free data is 1, 2, 3, 4, 5
// and zeros; its guest was started with debugging allowed.
func real(t testing.TB, floors ...attest.Floor) (attest.Evidence, attest.Expect) {
	t.Helper()
	raw := vector(t, "milan-report.bin")
	e := attest.Evidence{V: report.Version, Type: Type, Quote: raw, EKChain: [][]byte{vector(t, "milan-vcek.der")},
		Manifest: golden(t, raw[atMeasure:atMeasure+48], floors...)}
	return e, expect(raw[atData : atData+32])
}

func expect(bind []byte) attest.Expect {
	return attest.Expect{Bind: bind, Subject: "guest", Now: then(), Policy: attest.Policy{
		Product: "demo", Signers: [][]byte{signer().Public().(ed25519.PublicKey)}, Threshold: 1, MinRoot: attest.RootSNP}}
}

// forger signs reports under roots of its own.
type forger struct {
	keys *sevtest.AmdSigner
	root *product
}

func newForger(t testing.TB) forger {
	t.Helper()
	keys, err := sevtest.DefaultTestOnlyCertChain("Milan-B1", then().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p := &product{ProductLine: "Milan"}
	real, err := pinned("Milan")
	if err != nil {
		t.Fatal(err)
	}
	certs := *real.ProductCerts
	certs.Ark, certs.Ask = keys.Ark, keys.Ask
	p.ProductCerts = &certs
	return forger{keys, p}
}

func (f forger) verifier() Verifier {
	return Verifier{roots: func(string) (*product, error) { return f.root, nil }}
}

// evidence is the real report, made this chip's, changed by edit and signed.
func (f forger) evidence(t testing.TB, edit func([]byte)) (attest.Evidence, attest.Expect) {
	t.Helper()
	e, x := real(t)
	raw := append([]byte(nil), e.Quote...)
	copy(raw[atChip:], f.keys.HWID[:])
	clear(raw[atReported : atReported+8])
	raw[atPolicy+bitDebug/8] &^= 1 << (bitDebug % 8)
	edit(raw)
	r, s, err := f.keys.Sign(abi.SignedComponent(raw))
	if err == nil {
		err = abi.SetSignature(r, s, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	e.Quote, e.EKChain = raw, [][]byte{f.keys.Vcek.Raw}
	return e, x
}

func judge(t testing.TB, f Verifier, e attest.Evidence, x attest.Expect) *attest.Verdict {
	t.Helper()
	v, err := f.Verify(context.Background(), e, x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustBreak(t *testing.T, v *attest.Verdict, link, text string) {
	t.Helper()
	b := v.Broken()
	if v.OK() || b == nil || b.ID != link || !strings.Contains(b.Found, text) {
		t.Errorf("want %s with %q, got %+v", link, text, b)
	}
}

// The real report passes every link up to its binding, offline, and is refused
// because its guest may be debugged.
func TestRealReport(t *testing.T) {
	e, x := real(t)
	v := judge(t, Verifier{}, e, x)
	if v.Root != attest.RootSNP || v.Maker != "AMD Milan" {
		t.Errorf("root %v, maker %q", v.Root, v.Maker)
	}
	for _, id := range []string{attest.LinkChain, attest.LinkRoot, attest.LinkReport, attest.LinkNonce} {
		if l := v.Link(id); l.State != attest.Pass {
			t.Errorf("%s: %s %s", id, l.State, l.Found)
		}
	}
	mustBreak(t, v, attest.LinkDebug, "debug")
}

// A good report passes every link under the forger's roots, and none under AMD's.
func TestGoodReport(t *testing.T) {
	f := newForger(t)
	e, x := f.evidence(t, func([]byte) {})
	v := judge(t, f.verifier(), e, x)
	if !v.OK() || v.Word() != "trusted" || v.Baseline != "snp" {
		t.Fatalf("%+v", v.Broken())
	}
	for _, l := range v.Links {
		if l.State == attest.NotChecked && l.ID != attest.LinkLogProof {
			t.Errorf("%s: %s %s", l.ID, l.State, l.Found)
		}
		if l.Claim == "" || l.Rule == "" || l.NotProven == "" || l.Why == "" {
			t.Errorf("%s lacks a text", l.ID)
		}
	}
	mustBreak(t, judge(t, Verifier{}, e, x), attest.LinkChain, "certificate")
}

func TestFloors(t *testing.T) {
	f := newForger(t)
	e, x := f.evidence(t, func([]byte) {})
	for _, c := range []struct {
		floor attest.Floor
		want  attest.State
	}{
		{attest.Floor{Type: Type, TCB: 0}, attest.Pass},
		{attest.Floor{Type: "tdx", TCB: 1 << 60}, attest.Warn},
		{attest.Floor{Type: Type, TCB: 1}, attest.Fail},
		{attest.Floor{Type: Type, TCB: 1 << 56}, attest.Fail},
	} {
		e.Manifest = golden(t, e.Quote[atMeasure:atMeasure+48], c.floor)
		v := judge(t, f.verifier(), e, x)
		if l := v.Link(attest.LinkTCB); l.State != c.want || v.OK() == (c.want == attest.Fail) {
			t.Errorf("floor %+v: %s %s, want %s", c.floor, l.State, l.Found, c.want)
		}
	}
	if below(0x0200, 0x0100) != -1 || below(0x0100, 0x0200) != 1 || below(0x0300, 0x0001) != 0 {
		t.Error("parts are not compared one by one")
	}
}

func TestNegatives(t *testing.T) {
	f := newForger(t)
	forge := func(edit func([]byte)) func(*testing.T) (Verifier, attest.Evidence, attest.Expect) {
		return func(t *testing.T) (Verifier, attest.Evidence, attest.Expect) {
			e, x := f.evidence(t, edit)
			return f.verifier(), e, x
		}
	}
	change := func(edit func(*attest.Evidence, *attest.Expect)) func(*testing.T) (Verifier, attest.Evidence, attest.Expect) {
		return func(t *testing.T) (Verifier, attest.Evidence, attest.Expect) {
			e, x := f.evidence(t, func([]byte) {}) // good, so the change is the only fault
			edit(&e, &x)
			return f.verifier(), e, x
		}
	}
	for _, c := range []struct {
		name, link, text string
		make             func(*testing.T) (Verifier, attest.Evidence, attest.Expect)
	}{
		{"case 72 debug", attest.LinkDebug, "debug", forge(func(b []byte) { b[atPolicy+bitDebug/8] |= 1 << (bitDebug % 8) })},
		{"migration agent", attest.LinkDebug, "migration", forge(func(b []byte) { b[atPolicy+bitMigrate/8] |= 1 << (bitMigrate % 8) })},
		{"asked for by the host", attest.LinkDebug, "level 4294967295", forge(func(b []byte) { copy(b[atVMPL:], "\xff\xff\xff\xff") })},
		{"another level", attest.LinkDebug, "level 1", forge(func(b []byte) { b[atVMPL] = 1 })},
		{"data after the binding", attest.LinkNonce, "zeros", forge(func(b []byte) { b[atData+63] = 1 })},
		{"another measurement", attest.LinkMeasure, "baseline", forge(func(b []byte) { b[atMeasure] ^= 1 })},
		{"case 73 another product", attest.LinkChain, "certificate", func(t *testing.T) (Verifier, attest.Evidence, attest.Expect) {
			e, x := real(t)
			return Verifier{roots: func(string) (*product, error) { return pinned("Genoa") }}, e, x
		}},
		{"case 74 another chip", attest.LinkChain, "chip", change(func(e *attest.Evidence, _ *attest.Expect) { e.Quote[atChip] ^= 1 })},
		{"other firmware than certified", attest.LinkChain, "TCB", change(func(e *attest.Evidence, _ *attest.Expect) { e.Quote[atReported] ^= 1 })},
		{"case 75 below the floor", attest.LinkTCB, "below the floor", func(t *testing.T) (Verifier, attest.Evidence, attest.Expect) {
			e, x := f.evidence(t, func([]byte) {})
			e.Manifest = golden(t, e.Quote[atMeasure:atMeasure+48], attest.Floor{Type: Type, TCB: 1 << 56})
			return f.verifier(), e, x
		}},
		{"another binding", attest.LinkNonce, "expected", change(func(_ *attest.Evidence, x *attest.Expect) { x.Bind = make([]byte, 32) })},
		{"signature", attest.LinkReport, "signature", change(func(e *attest.Evidence, _ *attest.Expect) { e.Quote[atSignature] ^= 1 })},
		{"certificate too early", attest.LinkChain, "valid", change(func(_ *attest.Evidence, x *attest.Expect) { x.Now = time.Unix(1e9, 0) })},
		{"certificate expired", attest.LinkChain, "expired", change(func(_ *attest.Evidence, x *attest.Expect) { x.Now = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"no certificate", attest.LinkChain, "alone", change(func(e *attest.Evidence, _ *attest.Expect) { e.EKChain = nil })},
		{"two certificates", attest.LinkChain, "alone", change(func(e *attest.Evidence, _ *attest.Expect) { e.EKChain = append(e.EKChain, e.EKChain[0]) })},
		{"a TPM's field", attest.LinkChain, "app_log", change(func(e *attest.Evidence, _ *attest.Expect) { e.AppLog = []byte{0x80} })},
		{"short", attest.LinkChain, "bytes", change(func(e *attest.Evidence, _ *attest.Expect) { e.Quote = e.Quote[:abi.ReportSize-1] })},
		{"long", attest.LinkChain, "bytes", change(func(e *attest.Evidence, _ *attest.Expect) { e.Quote = append(e.Quote, 0) })},
		{"empty", attest.LinkChain, "bytes", change(func(e *attest.Evidence, _ *attest.Expect) { e.Quote = nil })},
		{"a stronger root demanded", attest.LinkRoot, "or better", change(func(_ *attest.Evidence, x *attest.Expect) { x.Policy.MinRoot = attest.RootSGX })},
		{"another machine than the first", attest.LinkRoot, "first", change(func(_ *attest.Evidence, x *attest.Expect) { x.Policy.EK = []byte("another") })},
		{"manifest", attest.LinkManifest, "", change(func(e *attest.Evidence, _ *attest.Expect) { e.Manifest = nil })},
		{"manifest expired", attest.LinkValidity, "", change(func(_ *attest.Evidence, x *attest.Expect) { x.Now = then().Add(2 * time.Hour) })},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, e, x := c.make(t)
			mustBreak(t, judge(t, f, e, x), c.link, c.text)
		})
	}
}

// No byte of report or certificate is unchecked.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 17
	}
	f := newForger(t)
	e, x := f.evidence(t, func([]byte) {})
	if v := judge(t, f.verifier(), e, x); !v.OK() {
		t.Fatal(v.Broken())
	}
	for _, field := range []*[]byte{&e.Quote, &e.EKChain[0]} {
		good := *field
		for i := 0; i < len(good)*8; i += step {
			*field = append([]byte(nil), good...)
			(*field)[i/8] ^= 1 << (i % 8)
			if v := judge(t, f.verifier(), e, x); v.OK() || v.Broken() == nil {
				t.Fatalf("bit %d of byte %d flipped and not refused", i%8, i/8)
			}
		}
		*field = good
	}
}

func TestWrongQuestions(t *testing.T) {
	e, x := real(t)
	other := e
	other.Type = "tdx"
	if _, err := (Verifier{}).Verify(t.Context(), other, x); !errors.Is(err, report.ErrAsk) {
		t.Errorf("another type: %v", err)
	}
	x.Bind = x.Bind[:31]
	if _, err := (Verifier{}).Verify(t.Context(), e, x); !errors.Is(err, report.ErrAsk) {
		t.Errorf("a short binding: %v", err)
	}
}

// The module's certificates are the ones pinned, for each line.
func TestPins(t *testing.T) {
	for _, line := range []string{"Milan", "Genoa", "Turin"} {
		if _, err := pinned(line); err != nil {
			t.Error(err)
		}
	}
	for _, line := range []string{"", "Naples", "milan"} {
		if _, err := pinned(line); !errors.Is(err, ErrChain) {
			t.Errorf("line %q: %v", line, err)
		}
	}
}

// FuzzVerify: whatever the bytes, a verdict and no panic; nothing but what the
// chip signed is good.
func FuzzVerify(f *testing.F) {
	forge := newForger(f)
	e, x := forge.evidence(f, func([]byte) {})
	amd, _ := real(f)
	f.Add(e.Quote, e.EKChain[0])
	f.Add(amd.Quote, amd.EKChain[0])
	f.Add(e.Quote[:64], []byte{0x30})
	f.Fuzz(func(t *testing.T, raw, cert []byte) {
		g := e
		g.Quote, g.EKChain = raw, [][]byte{cert}
		if v := judge(t, forge.verifier(), g, x); v.OK() && string(raw[:atSignature]) != string(e.Quote[:atSignature]) {
			t.Fatal("a report that was not signed is good")
		}
	})
}

// BenchmarkVerify is evidence to verdict, pinned roots parsed already.
func BenchmarkVerify(b *testing.B) {
	f := newForger(b)
	e, x := f.evidence(b, func([]byte) {})
	for b.Loop() {
		if v := judge(b, f.verifier(), e, x); !v.OK() {
			b.Fatal(v.Broken())
		}
	}
}

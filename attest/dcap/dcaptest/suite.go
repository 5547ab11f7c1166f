package dcaptest

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"strings"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/report"
)

// File is one of the real quotes or what came with them: see attest/dcap/testdata.
func File(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../dcap/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signer() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) }

// golden is a signed manifest for one measurement.
func golden(t testing.TB, now time.Time, measure []byte, floors ...attest.Floor) []byte {
	t.Helper()
	raw, err := manifest.Sign(attest.Manifest{V: 2, Product: "demo", Version: 1, NotBefore: now.Unix() - 1, NotAfter: now.Add(time.Hour).Unix(),
		Baselines: []attest.Baseline{{Name: "tee", Reports: [][]byte{measure}}}, Deny: attest.Deny{Version: 1, Floors: floors}}, signer())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Evidence is a quote with its collateral, for a manifest of no use.
func Evidence(t testing.TB, typ string, quote []byte, c dcap.Collateral, now time.Time) (attest.Evidence, attest.Expect) {
	t.Helper()
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{V: report.Version, Type: typ, Quote: quote, Collateral: raw, Manifest: golden(t, now, make([]byte, 32))}, expect(now)
}

func expect(now time.Time) attest.Expect {
	return attest.Expect{Bind: bytes.Repeat([]byte{2}, 32), Subject: "environment", Now: now, Policy: attest.Policy{
		Product: "demo", Signers: [][]byte{signer().Public().(ed25519.PublicKey)}, Threshold: 1, MinRoot: attest.RootSNP}}
}

// Breaks fails unless the first broken link is this one and says text.
func Breaks(t testing.TB, f attest.Verifier, e attest.Evidence, x attest.Expect, link, text string) *attest.Verdict {
	t.Helper()
	v, err := f.Verify(t.Context(), e, x)
	if err != nil {
		t.Fatal(err)
	}
	if b := v.Broken(); v.OK() || b == nil || b.ID != link || !strings.Contains(b.Found, text) {
		t.Errorf("want %s with %q, got %s", link, text, told(b))
	}
	return v
}

// Suite is what is asked of a kind of quote with quotes that are made.
type Suite struct {
	Version     uint16
	Body        func(edit func([]byte)) []byte
	Verifier    func(dcap.Pin) attest.Verifier
	Measurement []byte // of Body(nil)
	Rows        []Row  // besides those of every kind
}

// Row is one quote that must be refused: everything is as it should be but what
// the functions change.
type Row struct {
	Name       string
	Maker      func(*Maker)
	Body       func([]byte)
	Info, QE   func(map[string]any)
	Collateral func(t testing.TB, m *Maker, c *dcap.Collateral)
	Quote      func([]byte) []byte
	Expect     func(*attest.Expect)
	Floor      uint64
	Link, Text string
}

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// judge makes the quote of a row and judges it.
func (s Suite) judge(t testing.TB, r Row) *attest.Verdict {
	t.Helper()
	m := New(t, now())
	m.Version = s.Version
	if r.Maker != nil {
		r.Maker(m)
		m.Renew(t)
	}
	body := s.Body(r.Body)
	c := m.Collateral(t, body, r.Info, r.QE)
	if r.Collateral != nil {
		r.Collateral(t, m, &c)
	}
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	quote := m.Quote(t, body)
	if r.Quote != nil {
		quote = r.Quote(quote)
	}
	v := s.Verifier(m.Pin())
	floors := []attest.Floor{{Type: v.Type(), TCB: 17}, {Type: "snp", TCB: 1 << 60}}
	if r.Floor > 0 {
		floors[0].TCB = r.Floor
	}
	x := expect(now())
	if r.Expect != nil {
		r.Expect(&x)
	}
	got, err := v.Verify(t.Context(), attest.Evidence{V: report.Version, Type: v.Type(), Quote: quote, Collateral: raw,
		Manifest: golden(t, now(), s.Measurement, floors...)}, x)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Run judges an honest quote, and then every row.
func Run(t *testing.T, s Suite) {
	t.Run("honest", func(t *testing.T) {
		v := s.judge(t, Row{})
		if !v.OK() || v.Word() != "trusted" || v.Maker != "Intel" || v.NotAfter.After(now().Add(time.Hour)) {
			t.Fatalf("%s: %s", v.Word(), told(v.Broken()))
		}
		if l := v.Link(attest.LinkTCB); l.State != attest.Pass {
			t.Errorf("%s", told(l))
		}
	})
	for _, r := range append(common(), s.Rows...) {
		t.Run(r.Name, func(t *testing.T) {
			v := s.judge(t, r)
			if b := v.Broken(); v.OK() || b == nil || b.ID != r.Link || !strings.Contains(b.Found, r.Text) {
				t.Errorf("want %s with %q, got %s", r.Link, r.Text, told(b))
			}
		})
	}
	t.Run("every byte", func(t *testing.T) { s.everyByte(t) })
}

// everyByte changes one bit of each byte of the quote, and cuts it at every
// length: none is good.
func (s Suite) everyByte(t *testing.T) {
	m := New(t, now())
	m.Version = s.Version
	body := s.Body(nil)
	raw, err := m.Collateral(t, body, nil, nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	quote, f, man := m.Quote(t, body), s.Verifier(m.Pin()), golden(t, now(), s.Measurement)
	check := func(what string, at int, q []byte) {
		v, err := f.Verify(t.Context(), attest.Evidence{V: report.Version, Type: f.Type(), Quote: q, Collateral: raw, Manifest: man}, expect(now()))
		if err != nil || v.OK() || v.Link(attest.LinkReport).State == attest.Pass {
			t.Fatalf("byte %d %s: passes its signature, %v", at, what, err)
		}
	}
	if v, err := f.Verify(t.Context(), attest.Evidence{V: report.Version, Type: f.Type(), Quote: quote, Collateral: raw, Manifest: man}, expect(now())); err != nil || !v.OK() {
		t.Fatalf("control: %v, %s", err, told(v.Broken()))
	}
	for i := range quote {
		bad := bytes.Clone(quote)
		bad[i] ^= 1 << (i % 8)
		check("flipped", i, bad)
		if i%16 == 0 {
			check("cut", i, quote[:i])
		}
	}
}

// common is what every kind refuses.
func common() []Row {
	raw := func(text string) func(testing.TB, *Maker, *dcap.Collateral) {
		return func(_ testing.TB, _ *Maker, c *dcap.Collateral) {
			c.TCBInfo = append([]byte(strings.TrimSuffix(string(c.TCBInfo), "}")), text...)
		}
	}
	set := func(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }
	crl := func(root bool, revoke int) func(testing.TB, *Maker, *dcap.Collateral) {
		return func(t testing.TB, m *Maker, c *dcap.Collateral) {
			if root {
				c.RootCRL = m.CRL(t, true, revoke)
			} else {
				c.PCKCRL = m.CRL(t, false, revoke)
			}
		}
	}
	late := func(d time.Duration) func(*attest.Expect) { return func(x *attest.Expect) { x.Now = x.Now.Add(d) } }
	before, after := now().Add(-time.Minute).Format(time.RFC3339), now().Add(time.Minute).Format(time.RFC3339)
	return []Row{
		{Name: "76 TCB info expired", Info: set("nextUpdate", before), Link: attest.LinkTCB, Text: "tcbInfo ended"},
		{Name: "76 TCB info of the future", Info: set("issueDate", after), Link: attest.LinkTCB, Text: "tcbInfo begins"},
		{Name: "76 no TCB info", Collateral: func(_ testing.TB, _ *Maker, c *dcap.Collateral) { c.TCBInfo = nil }, Link: attest.LinkChain, Text: "TCB info is missing"},
		{Name: "76 no QE identity", Collateral: func(_ testing.TB, _ *Maker, c *dcap.Collateral) { c.QEIdentity = nil }, Link: attest.LinkChain, Text: "QE identity is missing"},
		{Name: "76 no CRL", Collateral: func(_ testing.TB, _ *Maker, c *dcap.Collateral) { c.PCKCRL = nil }, Link: attest.LinkChain, Text: "PCK CRL is missing"},
		{Name: "76 CRL expired", Expect: late(2 * time.Hour), Link: attest.LinkChain, Text: "PCK CRL ended"},
		{Name: "77 PCK revoked", Collateral: crl(false, 1), Link: attest.LinkChain, Text: "the PCK is revoked"},
		{Name: "77 CA revoked", Collateral: crl(true, 2), Link: attest.LinkChain, Text: "the CA is revoked"},
		{Name: "77 signer revoked", Collateral: crl(true, 3), Link: attest.LinkChain, Text: "the signer of the collateral is revoked"},
		{Name: "77 lists exchanged", Collateral: func(_ testing.TB, _ *Maker, c *dcap.Collateral) { c.PCKCRL = c.RootCRL }, Link: attest.LinkChain, Text: "of another CA"},
		{Name: "77 a list of somebody else", Collateral: func(t testing.TB, m *Maker, c *dcap.Collateral) { c.PCKCRL = New(t, m.Now).CRL(t, false, 0) }, Link: attest.LinkChain, Text: "PCK CRL"},
		{Name: "77 the root's list of somebody else", Collateral: func(t testing.TB, m *Maker, c *dcap.Collateral) { c.RootCRL = New(t, m.Now).CRL(t, true, 0) }, Link: attest.LinkChain, Text: "root CRL"},
		{Name: "79 QE identity expired", QE: set("nextUpdate", before), Link: attest.LinkTCB, Text: "enclaveIdentity ended"},
		{Name: "80 EPID", Maker: func(m *Maker) { m.KeyType = 1 }, Link: attest.LinkChain, Text: "EPID"},
		{Name: "80 PPID alone", Maker: func(m *Maker) { m.CertType = 3 }, Link: attest.LinkChain, Text: "PPID"},
		{Name: "ECDSA on P-384", Maker: func(m *Maker) { m.KeyType = 3 }, Link: attest.LinkChain, Text: "type 3"},
		{Name: "trailing bytes", Maker: func(m *Maker) { m.Tail = []byte{0} }, Link: attest.LinkChain, Text: "follow"},
		{Name: "collateral of another root", Collateral: func(t testing.TB, m *Maker, c *dcap.Collateral) {
			*c = New(t, m.Now).Collateral(t, make([]byte, 384), nil, nil)
		}, Link: attest.LinkChain, Text: "signer"},
		{Name: "signed by a CA", Collateral: func(_ testing.TB, m *Maker, c *dcap.Collateral) { c.Signer = m.CA() }, Link: attest.LinkChain, Text: "signs no collateral"},
		{Name: "a second member", Collateral: raw(`,"TCBINFO":{}}`), Link: attest.LinkTCB, Text: "as Intel publishes it"},
		{Name: "a member twice", Collateral: raw(`,"tcbInfo":{}}`), Link: attest.LinkTCB, Text: "as Intel publishes it"},
		{Name: "a second member inside", Collateral: func(t testing.TB, _ *Maker, c *dcap.Collateral) {
			at := bytes.Index(c.TCBInfo, []byte(`,"signature"`))
			c.TCBInfo = append(append(bytes.Clone(c.TCBInfo[:at]), `,"TCBINFO":{}`...), c.TCBInfo[at:]...)
		}, Link: attest.LinkTCB, Text: "not one JSON object"},
		{Name: "an unsigned change", Collateral: func(_ testing.TB, _ *Maker, c *dcap.Collateral) {
			c.TCBInfo = bytes.Replace(c.TCBInfo, []byte("OutOfDate"), []byte("UpToDate "), 1)
		}, Link: attest.LinkTCB, Text: "not signed"},
		{Name: "a QE identity for TCB info", Collateral: func(_ testing.TB, _ *Maker, c *dcap.Collateral) { c.TCBInfo = c.QEIdentity }, Link: attest.LinkTCB, Text: "as Intel publishes it"},
		{Name: "TCB info of another TEE", Info: set("id", "XGS"), Link: attest.LinkTCB, Text: `of "XGS"`},
		{Name: "TCB info version 2", Info: set("version", 2), Link: attest.LinkTCB, Text: "version 2, want 3"},
		{Name: "QE identity of another TEE", QE: set("id", "QVE"), Link: attest.LinkTCB, Text: `of "QVE"`},
		{Name: "another processor", Info: set("fmspc", "00606A000000"), Link: attest.LinkTCB, Text: "for processors"},
		{Name: "no levels", Info: set("tcbLevels", []any{}), Link: attest.LinkTCB, Text: "older than every level"},
		{Name: "empty level", Info: set("tcbLevels", []any{map[string]any{"tcbStatus": "UpToDate"}}), Link: attest.LinkTCB, Text: "lacks components"},
		{Name: "old processor", Maker: func(m *Maker) { m.Comps[3] = 4 }, Link: attest.LinkTCB, Text: "processor: Intel says OutOfDate"},
		{Name: "old certification enclave", Info: func(m map[string]any) {
			m["tcbLevels"].([]any)[0].(map[string]any)["tcb"].(map[string]any)["pcesvn"] = 12
		}, Link: attest.LinkTCB, Text: "processor: Intel says OutOfDate"},
		{Name: "older than every level", Maker: func(m *Maker) { m.Comps[3] = 3 }, Link: attest.LinkTCB, Text: "older than every level"},
		{Name: "revoked by its status", Info: func(m map[string]any) { m["tcbLevels"].([]any)[0].(map[string]any)["tcbStatus"] = "Revoked" }, Link: attest.LinkTCB, Text: "Intel says Revoked"},
		{Name: "an unknown status", Info: func(m map[string]any) { m["tcbLevels"].([]any)[0].(map[string]any)["tcbStatus"] = "\x1b[2J" }, Link: attest.LinkTCB, Text: "Intel says"},
		{Name: "below the floor", Floor: 18, Link: attest.LinkTCB, Text: "floor is 18"},
		{Name: "old quoting enclave", Maker: func(m *Maker) { m.QE = func(b []byte) { b[258] = 5 } }, Link: attest.LinkTCB, Text: "quoting enclave: Intel says OutOfDate, INTEL-SA-00477"},
		{Name: "quoting enclave of somebody else", Maker: func(m *Maker) { m.QE = func(b []byte) { b[dcap.AtMRSigner]++ } }, Link: attest.LinkTCB, Text: "not by Intel"},
		{Name: "quoting enclave under debug", Maker: func(m *Maker) { m.QE = func(b []byte) { b[dcap.AtAttributes] |= 2 } }, Link: attest.LinkTCB, Text: "attributes"},
		{Name: "another enclave of Intel", Maker: func(m *Maker) { m.QE = func(b []byte) { b[256] = 9 } }, Link: attest.LinkTCB, Text: "product 9"},
		{Name: "attestation key that nobody vouches for", Maker: func(m *Maker) { m.QE = func(b []byte) { b[dcap.AtReportData]++ } }, Link: attest.LinkReport, Text: "another attestation key"},
		{Name: "free data", Expect: func(x *attest.Expect) { x.Bind = bytes.Repeat([]byte{3}, 32) }, Link: attest.LinkNonce, Text: ""},
		{Name: "certificates ended", Expect: late(24 * 400 * time.Hour), Link: attest.LinkChain, Text: "expired"},
	}
}

// Warns fails unless the link holds with a warning and the verdict is good.
func Warns(t *testing.T, s Suite, body func([]byte), link, text string) {
	t.Helper()
	m := s.Body(body)
	if s.Version == 3 {
		s.Measurement = m[dcap.AtMREnclave : dcap.AtMREnclave+32]
	}
	v := s.judge(t, Row{Body: body})
	if l := v.Link(link); !v.OK() || l.State != attest.Warn || !strings.Contains(l.Found, text) {
		t.Errorf("%s", told(l))
	}
}

// told is a link in a line; its data would fill pages.
func told(l *attest.Link) string {
	if l == nil {
		return "no broken link"
	}
	return l.ID + " " + l.State.String() + ": " + l.Found
}

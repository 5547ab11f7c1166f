package ek

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"cipherdeck/assets/tpmroots"
	"cipherdeck/attest"
)

// maker is an authority with one intermediate, as makers of chips have.
type maker struct {
	root, middle   *x509.Certificate
	rootKey, midKy *ecdsa.PrivateKey
}

func newKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t testing.TB, tmpl, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(name string, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(5000, 0),
	}
}

func newMaker(t testing.TB, name string, pathLen int) maker {
	m := maker{rootKey: newKey(t, elliptic.P256()), midKy: newKey(t, elliptic.P256())}
	tmpl := authority(name, pathLen)
	m.root = issue(t, tmpl, tmpl, m.rootKey.Public(), m.rootKey)
	m.middle = issue(t, authority(name+" intermediate", -1), m.root, m.midKy.Public(), m.rootKey)
	return m
}

func (m maker) pinned(kind attest.RootKind) []attest.Root {
	return []attest.Root{{Name: "Chipmaker", Kind: kind, Cert: m.root.Raw, Added: true}}
}

// leaf is the template of a good EK certificate.
func leaf(t testing.TB) *x509.Certificate {
	t.Helper()
	rdns := pkix.RDNSequence{
		{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:43484950"}},
		{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 2}, Value: "CHIP\x1b[31m9670"}},
	}
	dir, err := asn1.Marshal(rdns)
	if err != nil {
		t.Fatal(err)
	}
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: dir}})
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), NotBefore: time.Unix(1000, 0), NotAfter: time.Unix(3000, 0),
		KeyUsage: x509.KeyUsageKeyAgreement, UnknownExtKeyUsage: []asn1.ObjectIdentifier{usage()},
		ExtraExtensions: []pkix.Extension{{Id: altName(), Critical: true, Value: san}},
	}
}

func TestGoodChain(t *testing.T) {
	m, key := newMaker(t, "Chip Root", -1), newKey(t, elliptic.P384())
	c := issue(t, leaf(t), m.middle, key.Public(), m.midKy)
	made, err := Verify([][]byte{c.Raw, m.middle.Raw}, m.pinned(attest.RootHardware), time.Unix(2000, 0))
	if err != nil {
		t.Fatal(err)
	}
	if made.Kind != attest.RootHardware || made.Maker != "Chipmaker (id:43484950 CHIP?[31m9670)" || len(made.Serials) != 3 || made.Serials[0] != "abc" ||
		!made.NotAfter.Equal(time.Unix(3000, 0)) || string(made.Key) != string(c.RawSubjectPublicKeyInfo) {
		t.Fatalf("%+v", made)
	}
	made, err = Verify([][]byte{c.Raw, m.middle.Raw}, m.pinned(attest.RootVTPM), time.Unix(2000, 0))
	if err != nil || made.Kind != attest.RootVTPM {
		t.Fatalf("a root is worth what it was added as: %+v, %v", made, err)
	}
}

// The numbers are those of the list of cases in docs/tests.md.
func TestChainsRefused(t *testing.T) {
	m, other := newMaker(t, "Chip Root", -1), newMaker(t, "Chip Root", -1)
	short := newMaker(t, "Short Root", 0)
	key := newKey(t, elliptic.P256())
	good := issue(t, leaf(t), m.middle, key.Public(), m.midKy)
	bent := func(change func(*x509.Certificate)) []byte {
		l := leaf(t)
		change(l)
		return issue(t, l, m.middle, key.Public(), m.midKy).Raw
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := issue(t, leaf(t), m.middle, &small.PublicKey, m.midKy)
	curve := issue(t, leaf(t), m.middle, newKey(t, elliptic.P521()).Public(), m.midKy)
	for name, c := range map[string]struct {
		chain [][]byte
		roots []attest.Root
		now   int64
		want  error
		says  string
	}{
		"32 expired":                  {chain: [][]byte{good.Raw, m.middle.Raw}, now: 3001, want: ErrChain, says: "expired"},
		"32 not yet":                  {chain: [][]byte{good.Raw, m.middle.Raw}, now: 999, want: ErrChain, says: "not yet valid"},
		"33 other key usage":          {chain: [][]byte{bent(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }), m.middle.Raw}, want: ErrCertificate, says: "extended key usage"},
		"34 AK certificate as EK":     {chain: [][]byte{bent(func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}} }), m.middle.Raw}, want: ErrCertificate, says: "extended key usage"},
		"34 authority as EK":          {chain: [][]byte{m.middle.Raw}, want: ErrCertificate},
		"35 unknown authority":        {chain: [][]byte{good.Raw, m.middle.Raw}, roots: []attest.Root{}, want: ErrChain, says: "unknown authority"},
		"36 another of the same name": {chain: [][]byte{good.Raw, m.middle.Raw}, roots: other.pinned(attest.RootHardware), want: ErrChain},
		"36 root sent along":          {chain: [][]byte{good.Raw, m.middle.Raw, m.root.Raw}, roots: []attest.Root{}, want: ErrChain},
		"37 path too long":            {chain: [][]byte{issue(t, leaf(t), short.middle, key.Public(), short.midKy).Raw, short.middle.Raw}, roots: short.pinned(attest.RootHardware), want: ErrChain, says: "too many intermediates"},
		"no intermediate":             {chain: [][]byte{good.Raw}, want: ErrChain},
		"unknown critical extension": {chain: [][]byte{bent(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true})
		}), m.middle.Raw}, want: ErrChain, says: "critical"},
		"key usage of a signing key":      {chain: [][]byte{bent(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), m.middle.Raw}, want: ErrCertificate, says: "key agreement"},
		"RSA 1024":                        {chain: [][]byte{weak.Raw, m.middle.Raw}, want: ErrCertificate, says: "1024"},
		"P-521":                           {chain: [][]byte{curve.Raw, m.middle.Raw}, want: ErrCertificate, says: "P-521"},
		"nothing":                         {want: ErrCertificate},
		"seven":                           {chain: make([][]byte, 7), want: ErrCertificate},
		"huge":                            {chain: [][]byte{make([]byte, MaxDER+1)}, want: ErrCertificate},
		"not DER":                         {chain: [][]byte{[]byte("x")}, want: ErrCertificate},
		"trailing":                        {chain: [][]byte{append(good.Raw[:len(good.Raw):len(good.Raw)], 0), m.middle.Raw}, want: ErrCertificate},
		"added root is not a certificate": {chain: [][]byte{good.Raw, m.middle.Raw}, roots: []attest.Root{{Name: "x", Kind: attest.RootHardware}}, want: ErrCertificate},
	} {
		roots, now := c.roots, c.now
		if roots == nil {
			roots = m.pinned(attest.RootHardware)
		}
		if now == 0 {
			now = 2000
		}
		made, err := Verify(c.chain, roots, time.Unix(now, 0))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || made.Kind != attest.RootNone {
			t.Errorf("%s: %+v, %v; want %v with %q", name, made, err, c.want, c.says)
		}
	}
}

// A software TPM vouches for itself and is never more than software, also when
// a pinned maker signed it.
func TestSoftwareStaysSoftware(t *testing.T) {
	mark := pkix.Extension{Id: Mark(), Value: []byte{5, 0}}
	for name, critical := range map[string]bool{"critical": true, "not critical": false} {
		m, key := newMaker(t, "Chip Root", -1), newKey(t, elliptic.P256())
		l := leaf(t)
		mark.Critical = critical
		l.ExtraExtensions = append(l.ExtraExtensions, mark)
		c := issue(t, l, m.middle, key.Public(), m.midKy)
		made, err := Verify([][]byte{c.Raw, m.middle.Raw, m.root.Raw}, m.pinned(attest.RootHardware), time.Unix(2000, 0))
		if err != nil || made.Kind != attest.RootSoftware {
			t.Errorf("%s: %+v, %v", name, made, err)
		}
		self := newMaker(t, SoftwareName, -1)
		c = issue(t, leaf(t), self.middle, key.Public(), self.midKy)
		made, err = Verify([][]byte{c.Raw, self.middle.Raw, self.root.Raw}, nil, time.Unix(2000, 0))
		if err != nil || made.Kind != attest.RootSoftware {
			t.Errorf("%s, by name: %+v, %v", name, made, err)
		}
		if _, err := Verify([][]byte{c.Raw, m.middle.Raw, m.root.Raw}, nil, time.Unix(2000, 0)); !errors.Is(err, ErrChain) {
			t.Errorf("%s, signed by nobody in it: %v", name, err)
		}
	}
}

func TestShippedRoots(t *testing.T) {
	roots, err := Shipped()
	if err != nil || len(roots) < 20 {
		t.Fatalf("%d roots, %v", len(roots), err)
	}
	seen := map[[32]byte]bool{}
	for _, r := range roots {
		c, err := x509.ParseCertificate(r.Cert)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		if string(c.RawSubject) != string(c.RawIssuer) {
			t.Errorf("%s: %s is not a root", r.Name, c.Subject)
		}
		if err := c.CheckSignatureFrom(c); err != nil && !errors.As(err, new(x509.InsecureAlgorithmError)) && !strings.Contains(err.Error(), "parent certificate cannot sign") {
			t.Errorf("%s: %s does not sign itself: %v", r.Name, c.Subject, err)
		}
		if r.Added || seen[sha256.Sum256(r.Cert)] || r.Kind != attest.RootHardware && r.Kind != attest.RootVTPM {
			t.Errorf("%s: %s: kind %s, shipped twice or called added", r.Name, c.Subject, r.Kind)
		}
		seen[sha256.Sum256(r.Cert)] = true
	}
	between, err := tpmroots.All(tpmroots.Intermediates)
	if err != nil || len(between) == 0 {
		t.Fatal(err)
	}
	a, err := accepted(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range between {
		c, err := x509.ParseCertificate(b.DER)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(x509.VerifyOptions{Roots: a.roots, Intermediates: a.between, CurrentTime: c.NotBefore.AddDate(0, 1, 0), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", b.File, err)
		}
	}
}

func TestCheckAdded(t *testing.T) {
	m, self := newMaker(t, "Chip Root", -1), newMaker(t, SoftwareName, -1)
	end := issue(t, leaf(t), m.middle, newKey(t, elliptic.P256()).Public(), m.midKy)
	for name, c := range map[string]struct {
		r  attest.Root
		ok bool
	}{
		"hardware":      {attest.Root{Kind: attest.RootHardware, Cert: m.root.Raw}, true},
		"vtpm":          {attest.Root{Kind: attest.RootVTPM, Cert: m.middle.Raw}, true},
		"software":      {attest.Root{Kind: attest.RootSoftware, Cert: m.root.Raw}, true},
		"no kind":       {attest.Root{Cert: m.root.Raw}, false},
		"SNP":           {attest.Root{Kind: attest.RootSNP, Cert: m.root.Raw}, false},
		"the mark":      {attest.Root{Kind: attest.RootHardware, Cert: self.root.Raw}, false},
		"not authority": {attest.Root{Kind: attest.RootHardware, Cert: end.Raw}, false},
		"nothing":       {attest.Root{Kind: attest.RootHardware}, false},
	} {
		if err := CheckAdded(c.r); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What one verdict adds is not there at the next one: the shipped roots are
// parsed once and shared.
func TestAddedRootsStayWithTheirVerdict(t *testing.T) {
	m, key := newMaker(t, "Chip Root", -1), newKey(t, elliptic.P256())
	c := issue(t, leaf(t), m.middle, key.Public(), m.midKy)
	full, alone := [][]byte{c.Raw, m.middle.Raw}, [][]byte{c.Raw}
	now := time.Unix(2000, 0)
	if _, err := Verify(full, m.pinned(attest.RootHardware), now); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(full, nil, now); !errors.Is(err, ErrChain) {
		t.Errorf("a root that somebody else added: %v", err)
	}
	if _, err := Verify(alone, m.pinned(attest.RootHardware), now); !errors.Is(err, ErrChain) {
		t.Errorf("an intermediate that somebody else sent: %v", err)
	}
}

// BenchmarkVerify checks a chain of three with one root added.
func BenchmarkVerify(b *testing.B) {
	m, key := newMaker(b, "Chip Root", -1), newKey(b, elliptic.P256())
	c := issue(b, leaf(b), m.middle, key.Public(), m.midKy)
	roots := m.pinned(attest.RootHardware)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify([][]byte{c.Raw, m.middle.Raw}, roots, time.Unix(2000, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

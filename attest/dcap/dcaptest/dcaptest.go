// Package dcaptest makes quotes of SGX and TDX under a root of its own, with the
// collateral that goes with them. It is imported by tests only.
package dcaptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"cipherdeck/attest/dcap"
)

// Maker is Intel, a processor and its quoting enclave. Change what is exported
// before a quote or its collateral is made.
type Maker struct {
	Now      time.Time // certificates begin a day before, collateral an hour
	Version  uint16    // of the quote
	KeyType  uint16
	CertType uint16
	Comps    [16]byte // SVNs of the processor's firmware, in the PCK certificate
	Tail     []byte   // after the quote

	QE func(report []byte) // edits the report of the quoting enclave before it is signed

	root, ca, pck, signer *cert
	attestation           *ecdsa.PrivateKey
	serial                int64
}

type cert struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// New makes a maker whose processor runs firmware 5 in every part.
func New(t testing.TB, now time.Time) *Maker {
	t.Helper()
	m := &Maker{Now: now, Version: 3, KeyType: 2, CertType: 5}
	for i := range m.Comps {
		m.Comps[i] = 5
	}
	m.root = m.certify(t, "Intel SGX Root CA", nil, true)
	m.ca = m.certify(t, "Intel SGX PCK Platform CA", m.root, true)
	m.signer = m.certify(t, "Intel SGX TCB Signing", m.root, false)
	m.attestation = key(t)
	m.Renew(t)
	return m
}

// Renew certifies the processor again, with the firmware that Comps says.
func (m *Maker) Renew(t testing.TB) { m.pck = m.certify(t, "Intel SGX PCK Certificate", m.ca, false) }

// Pin is the pin of the maker's root.
func (m *Maker) Pin() dcap.Pin {
	return func(der []byte) bool { return bytes.Equal(der, m.root.Raw) }
}

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (m *Maker) certify(t testing.TB, name string, by *cert, ca bool) *cert {
	t.Helper()
	m.serial++
	c := &x509.Certificate{SerialNumber: big.NewInt(m.serial), Subject: pkix.Name{CommonName: name}, NotBefore: m.Now.Add(-24 * time.Hour), NotAfter: m.Now.Add(24 * 365 * time.Hour),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature}
	if ca {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if by != nil && by == m.ca {
		c.SubjectKeyId, c.CRLDistributionPoints = []byte{1}, []string{"https://crl.example"} // a PCK has six extensions
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, Value: m.extension(t)}}
	}
	k := key(t)
	parent, signer := c, k
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &cert{parsed, k}
}

// extension says which processor it is, FMSPC 00906EA10000, and its firmware.
func (m *Maker) extension(t testing.TB) []byte {
	t.Helper()
	type pair struct {
		ID    asn1.ObjectIdentifier
		Value any // what asn1 knows, or a list
	}
	type nested []byte
	oid := func(tail ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, tail...)
	}
	list := func(pairs ...pair) nested {
		var all []asn1.RawValue
		for _, p := range pairs {
			if n, ok := p.Value.(nested); ok {
				p.Value = asn1.RawValue{FullBytes: n}
			}
			b, err := asn1.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, asn1.RawValue{FullBytes: b})
		}
		b, err := asn1.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var tcb []pair
	for i, c := range m.Comps {
		tcb = append(tcb, pair{oid(2, i+1), int(c)})
	}
	tcb = append(tcb, pair{oid(2, 17), 11}, pair{oid(2, 18), m.Comps[:]})
	return list(pair{oid(1), make([]byte, 16)}, pair{oid(2), list(tcb...)}, pair{oid(3), []byte{0, 0}}, pair{oid(4), fmspc()})
}

func fmspc() []byte { return []byte{0x00, 0x90, 0x6E, 0xA1, 0, 0} }

// SGX is the body of an enclave's report: measurement 1…, data 2….
func SGX(edit func([]byte)) []byte {
	b := make([]byte, 384)
	b[48] = 1 // INIT
	copy(b[dcap.AtMREnclave:], bytes.Repeat([]byte{1}, 32))
	copy(b[dcap.AtReportData:], bytes.Repeat([]byte{2}, 32))
	if edit != nil {
		edit(b)
	}
	return b
}

// TDX is the body of a TD's report: MRTD 1…, data 2…, module version 1.
func TDX(edit func([]byte)) []byte {
	b := make([]byte, 584)
	for i := range 16 {
		b[i] = 5
	}
	b[1] = 1
	b[123] = 1 << 4 // SEPT_VE_DISABLE
	copy(b[136:], bytes.Repeat([]byte{1}, 48))
	copy(b[520:], bytes.Repeat([]byte{2}, 32))
	if edit != nil {
		edit(b)
	}
	return b
}

// Quote is a quote with this body.
func (m *Maker) Quote(t testing.TB, body []byte) []byte {
	t.Helper()
	le := binary.LittleEndian
	head := le.AppendUint16(le.AppendUint16(nil, m.Version), m.KeyType)
	tee := uint32(0)
	if len(body) > 384 {
		tee = 0x81
	}
	head = append(le.AppendUint32(head, tee), make([]byte, 4)...)
	head = append(head, 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07)
	signed := append(append(head, make([]byte, 20)...), body...)

	auth := bytes.Repeat([]byte{7}, 32)
	x, err := m.attestation.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	qe := make([]byte, 384)
	qe[dcap.AtAttributes] = 0x11
	copy(qe[dcap.AtMRSigner:], bytes.Repeat([]byte{0xAA}, 32))
	qe[256], qe[258] = 1, 6
	sum := sha256.Sum256(append(bytes.Clone(x[1:]), auth...))
	copy(qe[dcap.AtReportData:], sum[:])
	if m.QE != nil {
		m.QE(qe)
	}
	chain := m.chain()
	if m.CertType != 5 {
		chain = make([]byte, 404)
	}
	inner := append(append(append([]byte{}, qe...), sign(t, m.pck.key, qe)...), le.AppendUint16(nil, uint16(len(auth)))...)
	inner = append(append(inner, auth...), le.AppendUint16(nil, m.CertType)...)
	inner = append(le.AppendUint32(inner, uint32(len(chain))), chain...)
	data := append(append([]byte{}, sign(t, m.attestation, signed)...), x[1:]...)
	if m.Version > 3 {
		data = le.AppendUint32(le.AppendUint16(data, 6), uint32(len(inner)))
	}
	data = append(data, inner...)
	return append(append(le.AppendUint32(signed, uint32(len(data))), data...), m.Tail...)
}

func (m *Maker) chain() (out []byte) {
	for _, c := range []*cert{m.pck, m.ca, m.root} {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func sign(t testing.TB, k *ecdsa.PrivateKey, msg []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// Collateral says that firmware 5 is up to date and the quoting enclave is as
// Quote makes it. The edits change what is signed; any may be nil.
func (m *Maker) Collateral(t testing.TB, body []byte, info, qe func(map[string]any)) dcap.Collateral {
	t.Helper()
	return dcap.Collateral{V: 1, TCBInfo: m.TCBInfo(t, body, info), QEIdentity: m.QEIdentity(t, body, qe), Signer: m.signer.Raw,
		PCKCRL: m.CRL(t, false, 0), RootCRL: m.CRL(t, true, 0)}
}

func (m *Maker) dates(v map[string]any) {
	v["issueDate"] = m.Now.Add(-time.Hour).UTC().Format(time.RFC3339)
	v["nextUpdate"] = m.Now.Add(time.Hour).UTC().Format(time.RFC3339)
	v["tcbEvaluationDataNumber"] = 17
}

// TCBInfo is a TCB info for the kind of body.
func (m *Maker) TCBInfo(t testing.TB, body []byte, edit func(map[string]any)) []byte {
	comps := func(n int) (out []map[string]int) {
		for range 16 {
			out = append(out, map[string]int{"svn": n})
		}
		return out
	}
	level := func(n int, status string) map[string]any {
		tcb := map[string]any{"sgxtcbcomponents": comps(n), "pcesvn": 11}
		if len(body) > 384 {
			tcb["tdxtcbcomponents"] = comps(n)
		}
		return map[string]any{"tcb": tcb, "tcbStatus": status, "tcbDate": "2025-01-01T00:00:00Z"}
	}
	v := map[string]any{"id": "SGX", "version": 3, "fmspc": hex.EncodeToString(fmspc()), "pceId": "0000", "tcbType": 0,
		"tcbLevels": []any{level(5, "UpToDate"), level(4, "OutOfDate")}}
	if len(body) > 384 {
		v["id"] = "TDX"
		module := map[string]any{"mrsigner": hex.EncodeToString(make([]byte, 48)), "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF"}
		v["tdxModule"] = module
		own := map[string]any{"id": "TDX_01", "tcbLevels": []any{map[string]any{"tcb": map[string]any{"isvsvn": 5}, "tcbStatus": "UpToDate"}, map[string]any{"tcb": map[string]any{"isvsvn": 3}, "tcbStatus": "OutOfDate"}}}
		for k, x := range module {
			own[k] = x
		}
		v["tdxModuleIdentities"] = []any{own}
	}
	m.dates(v)
	if edit != nil {
		edit(v)
	}
	return m.Envelope(t, "tcbInfo", v)
}

// QEIdentity is the identity of the quoting enclave for the kind of body.
func (m *Maker) QEIdentity(t testing.TB, body []byte, edit func(map[string]any)) []byte {
	v := map[string]any{"id": "QE", "version": 2, "miscselect": "00000000", "miscselectMask": "FFFFFFFF", "attributes": "11000000000000000000000000000000",
		"attributesMask": "FBFFFFFFFFFFFFFF0000000000000000", "mrsigner": hex.EncodeToString(bytes.Repeat([]byte{0xAA}, 32)), "isvprodid": 1,
		"tcbLevels": []any{map[string]any{"tcb": map[string]any{"isvsvn": 6}, "tcbStatus": "UpToDate"}, map[string]any{"tcb": map[string]any{"isvsvn": 5}, "tcbStatus": "OutOfDate", "advisoryIDs": []string{"INTEL-SA-00477"}}}}
	if len(body) > 384 {
		v["id"] = "TD_QE"
	}
	m.dates(v)
	if edit != nil {
		edit(v)
	}
	return m.Envelope(t, "enclaveIdentity", v)
}

// Envelope is v, signed, as Intel publishes it.
func (m *Maker) Envelope(t testing.TB, name string, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, name, b, sign(t, m.signer.key, b))
}

// CRL is a revocation list, of the root or of the PCK's CA, that revokes the PCK
// (1), the CA (2) or the signer (3), or nothing (0). It ends an hour from now.
func (m *Maker) CRL(t testing.TB, root bool, revoke int) []byte {
	t.Helper()
	by := m.ca
	if root {
		by = m.root
	}
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: m.Now.Add(-time.Hour), NextUpdate: m.Now.Add(time.Hour)}
	if revoke > 0 {
		of := []*cert{m.pck, m.ca, m.signer}[revoke-1]
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: of.SerialNumber, RevocationTime: m.Now.Add(-2 * time.Hour)}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, by.Certificate, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Signer is the certificate of who signs collateral; CA that of the PCK's CA.
func (m *Maker) Signer() []byte { return m.signer.Raw }

// CA is the certificate of the PCK's CA.
func (m *Maker) CA() []byte { return m.ca.Raw }

package tpm2_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	gotpm "github.com/google/go-tpm/tpm2"

	"cipherdeck/attest"
	"cipherdeck/attest/device"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

var update = flag.Bool("update", false, "make testdata/vectors anew: only for a new version of the evidence")

// vector is one file of testdata/vectors; the README there says what each field
// is.
type vector struct {
	Made     string         `json:"made"`
	PCRs     []int          `json:"pcrs"`
	Bank     uint16         `json:"bank"`
	Now      int64          `json:"now"`
	Bind     octets         `json:"bind"`
	SPKI     octets         `json:"spki"`
	Product  string         `json:"product"`
	Signer   octets         `json:"signer"`
	Root     octets         `json:"root,omitempty"`
	EnrolEK  octets         `json:"enrolled_ek"`
	EnrolAK  octets         `json:"enrolled_ak_name"`
	EnrolAt  int64          `json:"enrolled_at"`
	Evidence octets         `json:"evidence"`
	Word     string         `json:"word"`
	Kind     string         `json:"root_kind"`
	Links    []linkState    `json:"links"`
	Flipped  map[string]cut `json:"flipped"`
}

type linkState struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// cut counts flipped bits by the link that broke.
type cut map[string]int

// octets are bytes, in hex in a file.
type octets []byte

func (o octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

func (o *octets) UnmarshalText(b []byte) (err error) {
	*o, err = hex.DecodeString(string(b))
	return err
}

func (v vector) verifier() tpm2.Verifier {
	out := tpm2.Verifier{Bank: attest.Bank(v.Bank)}
	for _, p := range v.PCRs {
		out.PCRs = append(out.PCRs, uint8(p))
	}
	return out
}

func (v vector) expect() attest.Expect {
	x := attest.Expect{
		Bind: v.Bind, Subject: "vector", SPKI: [32]byte(v.SPKI), Now: time.Unix(v.Now, 0),
		Enrolled: &attest.Enrolment{EK: id.ID(v.EnrolEK), AKName: v.EnrolAK, At: v.EnrolAt},
		Policy:   attest.Policy{Product: v.Product, Signers: [][]byte{v.Signer}, Threshold: 1, Enrol: true},
	}
	if len(v.Root) > 0 {
		x.Policy.Roots = []attest.Root{{Name: "local", Kind: attest.RootVTPM, Cert: v.Root, Added: true}}
	}
	return x
}

func (v vector) decoded(t testing.TB) (e attest.Evidence) {
	t.Helper()
	if err := doc.Decode(v.Evidence, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// template is one kind of attestation key.
type template struct {
	typ    gotpm.TPMAlgID
	scheme gotpm.TPMAlgID
	hash   gotpm.TPMAlgID
	curve  gotpm.TPMECCCurve // of an ECC key
}

func (k template) public() gotpm.TPMTPublic {
	out := gotpm.TPMTPublic{
		Type: k.typ, NameAlg: gotpm.TPMAlgSHA256,
		ObjectAttributes: gotpm.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true},
	}
	if k.typ == gotpm.TPMAlgRSA {
		out.Parameters = gotpm.NewTPMUPublicParms(k.typ, &gotpm.TPMSRSAParms{KeyBits: 2048, Scheme: gotpm.TPMTRSAScheme{
			Scheme: k.scheme, Details: gotpm.NewTPMUAsymScheme(k.scheme, &gotpm.TPMSSigSchemeRSASSA{HashAlg: k.hash})}})
		return out
	}
	out.Parameters = gotpm.NewTPMUPublicParms(k.typ, &gotpm.TPMSECCParms{CurveID: k.curve, Scheme: gotpm.TPMTECCScheme{
		Scheme: k.scheme, Details: gotpm.NewTPMUAsymScheme(k.scheme, &gotpm.TPMSSigSchemeECDSA{HashAlg: k.hash})}})
	return out
}

func newAK(t testing.TB, d *device.Device, k template) *tpm2.AK {
	t.Helper()
	r, err := gotpm.CreatePrimary{
		PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHEndorsement, Auth: gotpm.PasswordAuth(nil)}, InPublic: gotpm.New2B(k.public()),
	}.Execute(d)
	if err != nil {
		t.Fatal(err)
	}
	return &tpm2.AK{Handle: r.ObjectHandle, Name: r.Name, Public: bytes.Clone(r.OutPublic.Bytes())}
}

// kinds are the vectors: on which TPM, with which key, over which bank.
func kinds() map[string]struct {
	made, spec string
	key        template
	bank       attest.Bank
} {
	p256 := template{gotpm.TPMAlgECC, gotpm.TPMAlgECDSA, gotpm.TPMAlgSHA256, gotpm.TPMECCNistP256}
	p384 := template{gotpm.TPMAlgECC, gotpm.TPMAlgECDSA, gotpm.TPMAlgSHA384, gotpm.TPMECCNistP384}
	rsa := template{gotpm.TPMAlgRSA, gotpm.TPMAlgRSASSA, gotpm.TPMAlgSHA256, 0}
	return map[string]struct {
		made, spec string
		key        template
		bank       attest.Bank
	}{
		"soft-p256":  {"software TPM of this program; AK on P-256, ECDSA with SHA-256", device.Soft, p256, attest.SHA256},
		"soft-p384":  {"software TPM of this program; AK on P-384, ECDSA with SHA-384; bank of SHA-384", device.Soft, p384, attest.SHA384},
		"soft-rsa":   {"software TPM of this program; AK of RSA 2048, RSASSA with SHA-256", device.Soft, rsa, attest.SHA256},
		"swtpm-p256": {"swtpm with certificates of swtpm_setup; AK on P-256, ECDSA with SHA-256", device.Swtpm, p256, attest.SHA256},
		"swtpm-rsa":  {"swtpm with certificates of swtpm_setup; AK of RSA 2048, RSASSA with SHA-256", device.Swtpm, rsa, attest.SHA256},
	}
}

// newVector asks a TPM for evidence in which everything holds.
func newVector(t *testing.T, made, spec string, key template, bank attest.Bank) vector {
	t.Helper()
	dir := t.TempDir()
	d, err := device.Open(spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	v := vector{Made: made, PCRs: []int{0, 4, 7, 14}, Bank: uint16(bank), Now: time.Now().Unix(), Product: "deck"}
	signer := ed25519.NewKeyFromSeed(make([]byte, 32))
	v.Signer = octets(signer.Public().(ed25519.PublicKey))
	bind, spki := sha256.Sum256([]byte("bind")), sha256.Sum256([]byte("TLS key"))
	v.Bind, v.SPKI = bind[:], spki[:]
	chain := d.Chain
	if spec == device.Swtpm { // its intermediate is a file beside the TPM
		v.Root = certificate(t, device.LocalRoot(dir))
		chain = append(chain, certificate(t, filepath.Join(dir, "swtpm-ca", "issuercert.pem")))
	}
	ak := newAK(t, d, key)
	first, err := x509.ParseCertificate(d.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	ek, err := tpm2.NewEK(d, first.RawSubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	v.EnrolEK, v.EnrolAK, v.EnrolAt = idOf(ek.Public), ak.Name.Buffer, v.Now
	e := quotedBy(t, d, ak, v, signer)
	e.EK, e.EKChain = ek.Public, chain
	certified(t, d, ak, bank, &e)
	if v.Evidence, err = doc.Encode(e); err != nil {
		t.Fatal(err)
	}
	return v
}

func certificate(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(raw)
	return b.Bytes
}

func idOf(b []byte) octets {
	i := id.Of(b)
	return i[:]
}

// quotedBy is a log, a manifest that accepts it, and a quote.
func quotedBy(t *testing.T, d *device.Device, ak *tpm2.AK, v vector, signer ed25519.PrivateKey) attest.Evidence {
	t.Helper()
	b, err := eventlog.NewBuilder(d)
	if err != nil {
		t.Fatal(err)
	}
	program := sha256.Sum256([]byte("program"))
	if err := b.Add("binary", program, "v1"); err != nil {
		t.Fatal(err)
	}
	if err := b.Add("tls-key", [32]byte(v.SPKI), ""); err != nil {
		t.Fatal(err)
	}
	log, err := b.Close()
	if err != nil {
		t.Fatal(err)
	}
	man, err := manifest.Sign(attest.Manifest{V: manifest.Version, Product: v.Product, Version: 1, NotAfter: 1 << 40,
		Baselines: []attest.Baseline{{Name: "one", Events: []attest.Golden{
			{Name: "binary", Any: [][32]byte{program}}, {Name: "tls-key", Bound: true}, {Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
		}}}}, signer)
	if err != nil {
		t.Fatal(err)
	}
	q, err := tpm2.Quote(d, ak, v.Bind, attest.Bank(v.Bank), v.verifier().PCRs)
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{V: tpm2.Version, Type: tpm2.Type, AK: ak.Public, Quote: q.Quote, Signature: q.Signature, PCRs: q.PCRs, AppLog: log, Manifest: man}
}

// judge fills in what a verifier says.
func (v *vector) judge(t *testing.T) {
	t.Helper()
	got, err := v.verifier().Verify(t.Context(), v.decoded(t), v.expect())
	if err != nil {
		t.Fatal(err)
	}
	if b := got.Broken(); b != nil {
		t.Errorf("%s: %s broke: %s", v.Made, b.ID, b.Found)
	}
	v.Word, v.Kind, v.Links = got.Word(), got.Root.String(), nil
	for _, l := range got.Links {
		v.Links = append(v.Links, linkState{l.ID, l.State.String()})
	}
}

// flip changes every bit of the parts that a TPM made, one at a time in steps,
// and counts what broke.
func (v *vector) flip(t *testing.T, step int) map[string]cut {
	t.Helper()
	e, x := v.decoded(t), v.expect()
	parts := map[string][][]byte{"ak": {e.AK}, "quote": {e.Quote}, "signature": {e.Signature}}
	for _, p := range e.PCRs {
		parts["pcrs"] = append(parts["pcrs"], p.Value)
	}
	out := map[string]cut{}
	for name, list := range parts {
		out[name] = cut{}
		for _, part := range list {
			for i := 0; i < len(part)*8; i += step {
				part[i/8] ^= 1 << (i % 8)
				got, err := v.verifier().Verify(t.Context(), e, x)
				part[i/8] ^= 1 << (i % 8)
				if err != nil || got.OK() || got.Broken() == nil {
					t.Fatalf("%s, bit %d of byte %d flipped and not refused: %v", name, i%8, i/8, err)
				}
				out[name][got.Broken().ID]++
			}
		}
	}
	return out
}

func vectors(t testing.TB) map[string]vector {
	t.Helper()
	out := map[string]vector{}
	for name := range kinds() {
		raw, err := os.ReadFile(filepath.Join("testdata", "vectors", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = v
	}
	return out
}

// TestVectors: evidence as TPMs of several kinds once made it is judged as it
// was then, link by link.
func TestVectors(t *testing.T) {
	if *update {
		for name, k := range kinds() {
			v := newVector(t, k.made, k.spec, k.key, k.bank)
			v.judge(t)
			v.Flipped = v.flip(t, 1)
			raw, err := json.MarshalIndent(v, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join("testdata", "vectors", name+".json"), append(raw, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range vectors(t) {
		got := want
		got.judge(t)
		if len(got.Links) != 19 || got.Word != want.Word || got.Kind != want.Kind {
			t.Errorf("%s: %s, %s, %d links; want %s, %s", name, got.Word, got.Kind, len(got.Links), want.Word, want.Kind)
		}
		for i, l := range got.Links {
			if l != want.Links[i] {
				t.Errorf("%s: %s is %s, want %s", name, l.ID, l.State, want.Links[i].State)
			}
		}
	}
}

// TestVectorsFlipped: no bit that a TPM made can be changed, and the link that
// breaks is the one that broke when the vector was made.
func TestVectorsFlipped(t *testing.T) {
	for name, v := range vectors(t) {
		if testing.Short() {
			for part, links := range v.flip(t, 13) {
				for l := range links {
					if v.Flipped[part][l] == 0 {
						t.Errorf("%s: %s broke by a bit of %s", name, l, part)
					}
				}
			}
			continue
		}
		got := v.flip(t, 1)
		for part, want := range v.Flipped {
			if !maps.Equal(got[part], want) {
				t.Errorf("%s: bits of %s broke %v, want %v", name, part, got[part], want)
			}
		}
	}
}

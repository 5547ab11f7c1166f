package softtpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"

	gotpm "github.com/google/go-tpm/tpm2"

	"cipherdeck/attest/wire"
)

func endorsement() gotpm.AuthHandle {
	return gotpm.AuthHandle{Handle: gotpm.TPMRHEndorsement, Auth: gotpm.PasswordAuth(nil)}
}

// signing is the template of a restricted ECDSA key.
func signing() gotpm.TPMTPublic {
	return gotpm.TPMTPublic{
		Type: gotpm.TPMAlgECC, NameAlg: gotpm.TPMAlgSHA256,
		ObjectAttributes: gotpm.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true},
		Parameters: gotpm.NewTPMUPublicParms(gotpm.TPMAlgECC, &gotpm.TPMSECCParms{
			Scheme: gotpm.TPMTECCScheme{Scheme: gotpm.TPMAlgECDSA,
				Details: gotpm.NewTPMUAsymScheme(gotpm.TPMAlgECDSA, &gotpm.TPMSSigSchemeECDSA{HashAlg: gotpm.TPMAlgSHA256})},
			CurveID: gotpm.TPMECCNistP256,
		}),
	}
}

func primary(t *testing.T, tpm *TPM, pub gotpm.TPMTPublic) *gotpm.CreatePrimaryResponse {
	t.Helper()
	r, err := gotpm.CreatePrimary{PrimaryHandle: endorsement(), InPublic: gotpm.New2B(pub)}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPrimariesDependOnSeedTemplateAndHierarchy(t *testing.T) {
	a := primary(t, New(Config{Seed: [32]byte{1}}), signing())
	again := primary(t, New(Config{Seed: [32]byte{1}, ResetCount: 9}), signing())
	if !bytes.Equal(a.OutPublic.Bytes(), again.OutPublic.Bytes()) {
		t.Error("another key after a restart")
	}
	seed := primary(t, New(Config{Seed: [32]byte{2}}), signing())
	storage := primary(t, New(Config{Seed: [32]byte{1}}), gotpm.ECCSRKTemplate)
	owner, err := gotpm.CreatePrimary{PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHOwner, Auth: gotpm.PasswordAuth(nil)},
		InPublic: gotpm.New2B(signing())}.Execute(New(Config{Seed: [32]byte{1}}))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"seed": seed.OutPublic.Bytes(), "template": storage.OutPublic.Bytes(), "hierarchy": owner.OutPublic.Bytes()} {
		if bytes.HasSuffix(b, a.OutPublic.Bytes()[len(a.OutPublic.Bytes())-32:]) { // y of the point
			t.Errorf("same key for another %s", name)
		}
	}
}

func TestKDFaAsPublished(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	want := gotpm.KDFa(crypto.SHA256, key, "LABEL", []byte("u"), []byte("vv"), 256)
	if got := kdfa(wire.AlgSHA256, key, "LABEL", []byte("u"), []byte("vv"), 256); !bytes.Equal(got, want) {
		t.Fatalf("%x, want %x", got, want)
	}
}

func TestReadPublicGivesRealNames(t *testing.T) {
	tpm := New(Config{})
	k := primary(t, tpm, signing())
	r, err := gotpm.ReadPublic{ObjectHandle: k.ObjectHandle}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := r.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	name, err := gotpm.ObjectName(pub)
	if err != nil || !bytes.Equal(name.Buffer, r.Name.Buffer) || !bytes.Equal(k.Name.Buffer, name.Buffer) {
		t.Fatalf("name %x, want %x", r.Name.Buffer, name.Buffer)
	}
	q := sha256.Sum256(append(wire.U32s(nil, wire.HandleEndorsement), name.Buffer...))
	if !bytes.Equal(r.QualifiedName.Buffer[2:], q[:]) {
		t.Fatalf("qualified name %x, want %x", r.QualifiedName.Buffer, q)
	}
}

func TestCreateLoadQuote(t *testing.T) {
	tpm := New(Config{ResetCount: 4})
	srk := primary(t, tpm, gotpm.ECCSRKTemplate)
	parent := gotpm.AuthHandle{Handle: srk.ObjectHandle, Name: srk.Name, Auth: gotpm.PasswordAuth(nil)}
	secret := gotpm.TPM2BSensitiveCreate{Sensitive: &gotpm.TPMSSensitiveCreate{UserAuth: gotpm.TPM2BAuth{Buffer: []byte("pw")}}}
	c, err := gotpm.Create{ParentHandle: parent, InSensitive: secret, InPublic: gotpm.New2B(signing())}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	bad := c.OutPrivate
	bad.Buffer = append(bytes.Clone(bad.Buffer), 0)
	if _, err := (gotpm.Load{ParentHandle: parent, InPrivate: bad, InPublic: c.OutPublic}).Execute(tpm); !errors.Is(err, gotpm.TPMRCIntegrity) {
		t.Errorf("changed private part: %v", err)
	}
	l, err := gotpm.Load{ParentHandle: parent, InPrivate: c.OutPrivate, InPublic: c.OutPublic}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	quote := func(pw string) (*gotpm.QuoteResponse, error) {
		return gotpm.Quote{
			SignHandle:     gotpm.AuthHandle{Handle: l.ObjectHandle, Name: l.Name, Auth: gotpm.PasswordAuth([]byte(pw))},
			QualifyingData: gotpm.TPM2BData{Buffer: []byte("fresh")},
			InScheme:       gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull},
			PCRSelect:      sha256Of(14),
		}.Execute(tpm)
	}
	if _, err := quote("other"); !errors.Is(err, gotpm.TPMRCBadAuth) {
		t.Errorf("wrong password: %v", err)
	}
	q, err := quote("pw")
	if err != nil {
		t.Fatal(err)
	}
	checkQuote(t, q, c.OutPublic)
}

// checkQuote verifies with go-tpm's own structures, not with ours.
func checkQuote(t *testing.T, q *gotpm.QuoteResponse, public gotpm.TPM2BPublic) {
	t.Helper()
	body, err := q.Quoted.Contents()
	if err != nil {
		t.Fatal(err)
	}
	if body.Magic.Check() != nil || string(body.ExtraData.Buffer) != "fresh" || body.ClockInfo.ResetCount != 4 {
		t.Fatalf("quote %+v", body)
	}
	pub, _ := public.Contents()
	point, err := pub.Unique.ECC()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := q.Signature.Signature.ECDSA()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, point.X.Buffer...), point.Y.Buffer...))
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(q.Quoted.Bytes())
	if !ecdsa.Verify(key, h[:], new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer)) {
		t.Fatal("signature does not verify")
	}
}

func sha256Of(pcrs ...uint) gotpm.TPMLPCRSelection {
	return gotpm.TPMLPCRSelection{PCRSelections: []gotpm.TPMSPCRSelection{{
		Hash: gotpm.TPMAlgSHA256, PCRSelect: gotpm.PCClientCompatible.PCRs(pcrs...)}}}
}

func extend(tpm *TPM, pcr uint32, alg gotpm.TPMIAlgHash, d []byte) error {
	_, err := gotpm.PCRExtend{
		PCRHandle: gotpm.AuthHandle{Handle: gotpm.TPMHandle(pcr), Auth: gotpm.PasswordAuth(nil)},
		Digests:   gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: alg, Digest: d}}},
	}.Execute(tpm)
	return err
}

func TestPCRs(t *testing.T) {
	tpm := New(Config{})
	d := sha256.Sum256([]byte("event"))
	if err := extend(tpm, 14, gotpm.TPMAlgSHA256, d[:]); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(append(make([]byte, 32), d[:]...))
	r, err := gotpm.PCRRead{PCRSelectionIn: sha256Of(14)}.Execute(tpm)
	if err != nil || len(r.PCRValues.Digests) != 1 || !bytes.Equal(r.PCRValues.Digests[0].Buffer, want[:]) || r.PCRUpdateCounter != 1 {
		t.Fatalf("%v %+v", err, r)
	}
	r, err = gotpm.PCRRead{PCRSelectionIn: sha256Of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)}.Execute(tpm)
	if err != nil || len(r.PCRValues.Digests) != readAtOnce || !bytes.Equal(r.PCRSelectionOut.PCRSelections[0].PCRSelect, []byte{0xFF, 0, 0}) {
		t.Fatalf("reads of ten PCRs: %v %+v", err, r)
	}
	if err := extend(tpm, 17, gotpm.TPMAlgSHA256, d[:]); !errors.Is(err, gotpm.TPMRCLocality) {
		t.Errorf("PCR 17: %v", err)
	}
	if err := extend(tpm, 14, gotpm.TPMAlgSHA1, d[:20]); !errors.Is(err, gotpm.TPMRCHash) {
		t.Errorf("SHA-1: %v", err)
	}
	if err := extend(tpm, 24, gotpm.TPMAlgSHA256, d[:]); !errors.Is(err, gotpm.TPMRCValue) {
		t.Errorf("PCR 24: %v", err)
	}
}

func TestState(t *testing.T) {
	tpm := New(Config{})
	if _, err := (gotpm.Startup{StartupType: gotpm.TPMSUClear}).Execute(tpm); !errors.Is(err, gotpm.TPMRCInitialize) {
		t.Errorf("second startup: %v", err)
	}
	if _, err := (gotpm.Shutdown{ShutdownType: gotpm.TPMSUClear}).Execute(tpm); err != nil {
		t.Error(err)
	}
	a, err := gotpm.GetRandom{BytesRequested: 64}.Execute(tpm)
	if err != nil || len(a.RandomBytes.Buffer) != 48 {
		t.Errorf("random: %v", err)
	}
	c, err := gotpm.GetCapability{Capability: gotpm.TPMCapTPMProperties, Property: uint32(gotpm.TPMPTManufacturer), PropertyCount: 1}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.CapabilityData.Data.TPMProperties()
	if err != nil || len(p.TPMProperty) != 1 || string(binary.BigEndian.AppendUint32(nil, p.TPMProperty[0].Value)) != "SOFT" || !bool(c.MoreData) {
		t.Fatalf("manufacturer %+v, %v", p, err)
	}
	var handles []gotpm.TPMHandle
	for range slots {
		handles = append(handles, primary(t, tpm, signing()).ObjectHandle)
	}
	if _, err := (gotpm.CreatePrimary{PrimaryHandle: endorsement(), InPublic: gotpm.New2B(signing())}).Execute(tpm); !errors.Is(err, gotpm.TPMRCObjectMemory) {
		t.Errorf("a fourth object: %v", err)
	}
	for _, h := range handles {
		if _, err := (gotpm.FlushContext{FlushHandle: h}).Execute(tpm); err != nil {
			t.Error(err)
		}
	}
	if _, err := (gotpm.FlushContext{FlushHandle: handles[0]}).Execute(tpm); !errors.Is(err, gotpm.TPMRCHandle) {
		t.Errorf("flushed twice: %v", err)
	}
}

func TestTemplatesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*gotpm.TPMTPublic)
		want   error
	}{
		"outside key":              {func(p *gotpm.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false }, gotpm.TPMRCAttributes},
		"fixedTPM alone":           {func(p *gotpm.TPMTPublic) { p.ObjectAttributes.FixedParent = false }, gotpm.TPMRCAttributes},
		"restricted sign, decrypt": {func(p *gotpm.TPMTPublic) { p.ObjectAttributes.Decrypt = true }, gotpm.TPMRCAttributes},
		"neither":                  {func(p *gotpm.TPMTPublic) { p.ObjectAttributes.SignEncrypt = false }, gotpm.TPMRCAttributes},
		"unknown attribute":        {func(p *gotpm.TPMTPublic) { p.ObjectAttributes.STClear = true }, gotpm.TPMRCReservedBits},
		"SHA-1 name":               {func(p *gotpm.TPMTPublic) { p.NameAlg = gotpm.TPMAlgSHA1 }, gotpm.TPMRCHash},
		"policy of another size":   {func(p *gotpm.TPMTPublic) { p.AuthPolicy.Buffer = make([]byte, 20) }, gotpm.TPMRCSize},
	} {
		p := signing()
		c.change(&p)
		_, err := gotpm.CreatePrimary{PrimaryHandle: endorsement(), InPublic: gotpm.New2B(p)}.Execute(New(Config{}))
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestBadFrames(t *testing.T) {
	tpm := New(Config{})
	frame := func(tag uint16, size, code uint32, body ...byte) []byte {
		return append(wire.U32s(wire.U16s(nil, tag), size, code), body...)
	}
	for name, c := range map[string]struct {
		in   []byte
		want rc
	}{
		"empty":         {nil, rcCommandSize},
		"short":         {[]byte{0x80}, rcCommandSize},
		"too long":      {make([]byte, MaxCommand+1), rcCommandSize},
		"wrong size":    {frame(tagNoSessions, 99, 0x17B, 0, 8), rcCommandSize},
		"wrong tag":     {frame(0x1234, 12, 0x17B, 0, 8), rcBadTag},
		"unknown":       {frame(tagNoSessions, 10, 0x1FF), rcCommandCode},
		"no auth":       {frame(tagNoSessions, 14, 0x131, 0x40, 0, 0, 0x0B), rcAuthMissing},
		"auth too long": {frame(tagSessions, 18, 0x131, 0x40, 0, 0, 0x0B, 0xFF, 0xFF, 0xFF, 0xFF), rcAuthSize},
		"HMAC session":  {frame(tagSessions, 27, 0x131, 0x40, 0, 0, 0x0B, 0, 0, 0, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0), rcNoSession},
		"unneeded auth": {frame(tagSessions, 25, 0x17B, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, 0, 8), rcHandle.inSession(0)},
		"trailing":      {frame(tagNoSessions, 13, 0x17B, 0, 8, 0), rcSize},
		"no handle":     {frame(tagNoSessions, 10, 0x173), rcInsufficient},
		"not loaded":    {frame(tagNoSessions, 14, 0x173, 0x80, 0, 0, 0), rcReference},
	} {
		out, err := tpm.Send(c.in)
		if err != nil || len(out) != 10 || rc(binary.BigEndian.Uint32(out[6:])) != c.want {
			t.Errorf("%s: %x, %v; want code %03x", name, out, err, uint32(c.want))
		}
	}
}

// recorder keeps the frames that go-tpm sends, as fuzz seeds.
type recorder struct {
	tpm    *TPM
	frames [][]byte
}

func (r *recorder) Send(in []byte) ([]byte, error) {
	r.frames = append(r.frames, bytes.Clone(in))
	return r.tpm.Send(in)
}

func seeds(f *testing.F) [][]byte {
	r := &recorder{tpm: New(Config{})}
	k, err := gotpm.CreatePrimary{PrimaryHandle: endorsement(), InPublic: gotpm.New2B(gotpm.ECCSRKTemplate)}.Execute(r)
	if err != nil {
		f.Fatal(err)
	}
	parent := gotpm.AuthHandle{Handle: k.ObjectHandle, Name: k.Name, Auth: gotpm.PasswordAuth(nil)}
	c, err := gotpm.Create{ParentHandle: parent, InPublic: gotpm.New2B(signing())}.Execute(r)
	if err != nil {
		f.Fatal(err)
	}
	l, err := gotpm.Load{ParentHandle: parent, InPrivate: c.OutPrivate, InPublic: c.OutPublic}.Execute(r)
	if err != nil {
		f.Fatal(err)
	}
	_, _ = gotpm.Quote{SignHandle: gotpm.AuthHandle{Handle: l.ObjectHandle, Name: l.Name, Auth: gotpm.PasswordAuth(nil)},
		InScheme: gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull}, PCRSelect: sha256Of(0, 14)}.Execute(r)
	_, _ = gotpm.PCRRead{PCRSelectionIn: sha256Of(1, 2, 3)}.Execute(r)
	_, _ = gotpm.PCRExtend{PCRHandle: gotpm.AuthHandle{Handle: 14, Auth: gotpm.PasswordAuth(nil)},
		Digests: gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: make([]byte, 32)}}}}.Execute(r)
	_, _ = gotpm.ReadPublic{ObjectHandle: l.ObjectHandle}.Execute(r)
	_, _ = gotpm.GetCapability{Capability: gotpm.TPMCapTPMProperties, PropertyCount: 4}.Execute(r)
	_, _ = gotpm.GetRandom{BytesRequested: 8}.Execute(r)
	_, _ = gotpm.FlushContext{FlushHandle: l.ObjectHandle}.Execute(r)
	return r.frames
}

// FuzzSend: no frame panics, every answer is a well-formed frame, and the
// registers of a measured launch cannot be touched.
func FuzzSend(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	tpm := New(Config{})
	if _, err := (gotpm.CreatePrimary{PrimaryHandle: endorsement(), InPublic: gotpm.New2B(gotpm.ECCSRKTemplate)}).Execute(tpm); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := tpm.Send(in)
		if err != nil || len(out) < 10 || len(out) > MaxCommand || int(binary.BigEndian.Uint32(out[2:])) != len(out) {
			t.Fatalf("answer %x, %v", out, err)
		}
		if !bytes.Equal(tpm.pcrs[wire.AlgSHA256][17], bytes.Repeat([]byte{0xFF}, 32)) {
			t.Fatal("PCR 17 was extended")
		}
	})
}

package tpm2_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	gotpm "github.com/google/go-tpm/tpm2"

	"cipherdeck/attest"
	"cipherdeck/attest/device"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/id"
)

// endorsed is a machine with an endorsement key and its certificate, enrolled,
// with a job key in its TPM; everything holds.
func endorsed(t testing.TB) (attest.Evidence, attest.Expect) {
	t.Helper()
	tpm, err := softtpm.StartSeeded(softtpm.Config{Seed: [32]byte{3}, ResetCount: 6}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := device.NewSoft(tpm)
	if err != nil {
		t.Fatal(err)
	}
	ek, err := tpm2.NewEK(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	ak, err := tpm2.NewAK(d)
	if err != nil {
		t.Fatal(err)
	}
	b, err := eventlog.NewBuilder(d)
	if err != nil {
		t.Fatal(err)
	}
	log, err := b.Close()
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	now := time.Now()
	man, err := manifest.Sign(attest.Manifest{V: manifest.Version, Product: "deck", Version: 1, NotBefore: 0, NotAfter: now.Add(time.Hour).Unix(),
		Baselines: []attest.Baseline{{Name: "one", Events: []attest.Golden{{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}}}}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	bind := sha256.Sum256([]byte("bind"))
	pcrs := []uint8{7, 14}
	q, err := tpm2.Quote(d, ak, bind[:], attest.SHA256, pcrs)
	if err != nil {
		t.Fatal(err)
	}
	e := attest.Evidence{V: tpm2.Version, Type: tpm2.Type, AK: ak.Public, Quote: q.Quote, Signature: q.Signature, PCRs: q.PCRs, AppLog: log, Manifest: man,
		EK: ek.Public, EKChain: d.Chain}
	certified(t, d, ak, attest.SHA256, &e)
	return e, attest.Expect{Bind: bind[:], Subject: "deck", Now: now,
		Enrolled: &attest.Enrolment{EK: id.Of(ek.Public), AKName: ak.Name.Buffer, At: now.Unix()},
		Policy:   attest.Policy{Product: "deck", Signers: [][]byte{key.Public().(ed25519.PublicKey)}, Threshold: 1, Enrol: true}}
}

// certified adds a job key that is bound to the state that was quoted.
func certified(t testing.TB, d *device.Device, ak *tpm2.AK, bank attest.Bank, e *attest.Evidence) {
	t.Helper()
	policy := tpm2.PolicyPCR(bank, e.PCRs)
	k, err := gotpm.CreatePrimary{PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHNull, Auth: gotpm.PasswordAuth(nil)}, InPublic: gotpm.New2B(gotpm.TPMTPublic{
		Type: gotpm.TPMAlgECC, NameAlg: gotpm.TPMAlgSHA256,
		ObjectAttributes: gotpm.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, NoDA: true, Decrypt: true},
		AuthPolicy:       gotpm.TPM2BDigest{Buffer: policy[:]},
		Parameters:       gotpm.NewTPMUPublicParms(gotpm.TPMAlgECC, &gotpm.TPMSECCParms{CurveID: gotpm.TPMECCNistP256}),
	})}.Execute(d)
	if err != nil {
		t.Fatal(err)
	}
	bind := tpm2.CertifyBind()
	c, err := gotpm.Certify{ObjectHandle: gotpm.AuthHandle{Handle: k.ObjectHandle, Name: k.Name, Auth: gotpm.PasswordAuth(nil)},
		SignHandle:     gotpm.AuthHandle{Handle: ak.Handle, Name: ak.Name, Auth: gotpm.PasswordAuth(nil)},
		QualifyingData: gotpm.TPM2BData{Buffer: bind[:]}, InScheme: gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull}}.Execute(d)
	if err != nil {
		t.Fatal(err)
	}
	e.KeyPublic, e.KeyCertify, e.KeySig = k.OutPublic.Bytes(), bytes.Clone(c.CertifyInfo.Bytes()), gotpm.Marshal(c.Signature)
	pub, err := k.OutPublic.Contents()
	if err != nil {
		t.Fatal(err)
	}
	point, err := pub.Unique.ECC()
	if err != nil {
		t.Fatal(err)
	}
	e.JobKey = append(append([]byte{4}, point.X.Buffer...), point.Y.Buffer...)
}

func TestEndorsedMachine(t *testing.T) {
	e, x := endorsed(t)
	v, err := tpm2.Verifier{PCRs: []uint8{7, 14}}.Verify(t.Context(), e, x)
	if err != nil || !v.OK() || v.Word() != "demo" {
		t.Fatalf("%v, %+v", err, v.Broken())
	}
	for link, want := range map[string]attest.State{attest.LinkEK: attest.Software, attest.LinkRoot: attest.Software, attest.LinkEnrol: attest.Pass, attest.LinkClock: attest.Pass, attest.LinkJobKey: attest.Pass} {
		if l := v.Link(link); l.State != want {
			t.Errorf("%s is %s: %s", link, l.State, l.Found)
		}
	}
	if v.EK == nil || v.AKName == nil || v.Boot.ResetCount != 7 || v.Maker == "" {
		t.Errorf("%+v", v)
	}
}

// The numbers are those of the list of cases in docs/tests.md.
func TestIdentityAndPast(t *testing.T) {
	boot := func(change func(*attest.Boot)) func(*attest.Evidence, *attest.Expect) {
		return func(e *attest.Evidence, x *attest.Expect) {
			q, err := tpm2.ParseQuote(e.Quote)
			if err != nil {
				t.Fatal(err)
			}
			b := q.Boot
			change(&b)
			x.Policy.Last = &b
		}
	}
	other, _ := func() (attest.Evidence, attest.Expect) {
		tpm, err := softtpm.StartSeeded(softtpm.Config{Seed: [32]byte{4}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := device.NewSoft(tpm)
		if err != nil {
			t.Fatal(err)
		}
		ek, err := tpm2.NewEK(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		return attest.Evidence{EK: ek.Public, EKChain: d.Chain}, attest.Expect{}
	}()
	for name, c := range map[string]struct {
		change func(*attest.Evidence, *attest.Expect)
		link   string
		state  attest.State
		says   string
	}{
		"31 certificate of another EK":   {func(e *attest.Evidence, _ *attest.Expect) { e.EKChain = other.EKChain }, attest.LinkEK, attest.Fail, "for another key"},
		"31 certificate without its key": {func(e *attest.Evidence, _ *attest.Expect) { e.EK = nil }, attest.LinkEK, attest.Fail, "without its key"},
		"hardware demanded":              {func(_ *attest.Evidence, x *attest.Expect) { x.Policy.MinRoot = attest.RootHardware }, attest.LinkRoot, attest.Fail, "policy demands"},
		"32 certificate ended":           {func(_ *attest.Evidence, x *attest.Expect) { x.Now = x.Now.AddDate(30, 0, 0) }, attest.LinkEK, attest.Fail, "expired"},
		"not enrolled":                   {func(_ *attest.Evidence, x *attest.Expect) { x.Enrolled = nil }, attest.LinkEnrol, attest.Fail, "no credential"},
		"38 enrolled with another EK":    {func(e *attest.Evidence, _ *attest.Expect) { e.EK, e.EKChain = other.EK, other.EKChain }, attest.LinkEnrol, attest.Fail, "another endorsement key"},
		"38 enrolled with another AK":    {func(_ *attest.Evidence, x *attest.Expect) { x.Enrolled.AKName = []byte{1} }, attest.LinkEnrol, attest.Fail, "another AK"},
		"enrolled long ago":              {func(_ *attest.Evidence, x *attest.Expect) { x.Enrolled.At -= 31 * 86400 }, attest.LinkEnrol, attest.Fail, "30 days"},
		"enrolled in the future":         {func(_ *attest.Evidence, x *attest.Expect) { x.Enrolled.At += 3600 }, attest.LinkEnrol, attest.Fail, "future"},
		"the EK is not shown any more":   {func(e *attest.Evidence, _ *attest.Expect) { e.EK, e.EKChain = nil, nil }, attest.LinkEnrol, attest.Fail, "none is shown"},
		"39 another EK than the first":   {func(_ *attest.Evidence, x *attest.Expect) { x.Policy.EK = []byte{1} }, attest.LinkEnrol, attest.Fail, "IDENTITY CHANGED"},
		"39 another AK than the first":   {func(_ *attest.Evidence, x *attest.Expect) { x.Policy.AKName = []byte{1} }, attest.LinkEnrol, attest.Fail, "IDENTITY CHANGED"},
		"28 rebooted":                    {boot(func(b *attest.Boot) { b.ResetCount-- }), attest.LinkClock, attest.Warn, "rebooted"},
		"28 reset count back":            {boot(func(b *attest.Boot) { b.ResetCount++ }), attest.LinkClock, attest.Fail, "reset count went back"},
		"28 restart count back":          {boot(func(b *attest.Boot) { b.RestartCount++ }), attest.LinkClock, attest.Fail, "restart count went back"},
		"29 clock back":                  {boot(func(b *attest.Boot) { b.Clock += 1000 }), attest.LinkClock, attest.Fail, "clock went back"},
		"30 firmware changed":            {boot(func(b *attest.Boot) { b.Firmware++ }), attest.LinkClock, attest.Warn, "firmware changed"},
		"59 job key swapped":             {func(e *attest.Evidence, _ *attest.Expect) { e.JobKey = bytes.Clone(e.JobKey); e.JobKey[9] ^= 1 }, attest.LinkJobKey, attest.Fail, "another one"},
		"job key of another state": {func(e *attest.Evidence, _ *attest.Expect) {
			e.KeyPublic = bytes.Clone(e.KeyPublic)
			e.KeyPublic[12] ^= 1
		}, attest.LinkJobKey, attest.Fail, "another state"},
		"job key that may leave": {func(e *attest.Evidence, _ *attest.Expect) {
			e.KeyPublic = bytes.Clone(e.KeyPublic)
			e.KeyPublic[7] ^= 2
		}, attest.LinkJobKey, attest.Fail, "attributes"},
		"job key certified by another":    {func(e *attest.Evidence, _ *attest.Expect) { e.KeySig = bytes.Clone(e.KeySig); e.KeySig[20] ^= 1 }, attest.LinkJobKey, attest.Fail, "not signed"},
		"neither certified nor measured":  {func(e *attest.Evidence, _ *attest.Expect) { e.KeyPublic, e.KeyCertify, e.KeySig = nil, nil, nil }, attest.LinkJobKey, attest.Fail, "neither certified"},
		"quote in place of certification": {func(e *attest.Evidence, _ *attest.Expect) { e.KeyCertify = e.Quote }, attest.LinkJobKey, attest.Fail, "not a quote"},
	} {
		e, x := endorsed(t)
		c.change(&e, &x)
		v, err := tpm2.Verifier{PCRs: []uint8{7, 14}}.Verify(t.Context(), e, x)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if l := v.Link(c.link); l.State != c.state || !strings.Contains(l.Found, c.says) || v.OK() != (c.state != attest.Fail) {
			t.Errorf("%s: %s is %s: %s; broken %+v", name, c.link, l.State, l.Found, v.Broken())
		}
	}
}

func TestCredentialsOfOddKeys(t *testing.T) {
	e, _ := endorsed(t)
	for name, ek := range map[string][]byte{"nothing": nil, "an AK": e.AK, "cut": e.EK[:20]} {
		if _, err := tpm2.MakeCredential(rand.Reader, ek, []byte("name"), make([]byte, 32)); err == nil {
			t.Errorf("%s: a credential was made", name)
		}
	}
}

package tpm2

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/links"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/wire"
)

// negative is one attack: how the forger is bent before and after PCR 14 is
// replayed, and which link must break with which words. A number before the
// name is that of the case in docs/tests.md.
type negative struct {
	name   string
	by     func(testing.TB) *forger // newForger when there is none
	before func(*forger)
	after  func(*forger)
	sent   func(*attest.Evidence)
	link   string
	found  string
}

func quoteNegatives() []negative {
	return []negative{
		{name: "1 replayed nonce", after: func(f *forger) { b := sum("older bind"); f.bind = b[:] }, link: attest.LinkNonce, found: "binding mismatch"},
		{name: "2 empty nonce", after: func(f *forger) { f.bind = []byte{} }, link: attest.LinkNonce},
		{name: "3 nonce prefix", after: func(f *forger) { f.bind = f.bind[:31] }, link: attest.LinkNonce},
		{name: "3 nonce padded", after: func(f *forger) { f.bind = append(bytes.Clone(f.bind), 0) }, link: attest.LinkNonce},
		{name: "4 magic wrong", after: func(f *forger) { f.magic++ }, link: attest.LinkSignature, found: ErrMagic.Error()},
		{name: "5 type certify", after: func(f *forger) { f.kind = 0x8017 }, link: attest.LinkSignature, found: ErrKind.Error()},
		{name: "5 type time", after: func(f *forger) { f.kind = 0x8019 }, link: attest.LinkSignature, found: ErrKind.Error()},
		{name: "safe 2", after: func(f *forger) { f.safe = 2 }, link: attest.LinkSignature, found: "safe"},
		{name: "6 truncated", sent: func(e *attest.Evidence) { e.Quote = e.Quote[:len(e.Quote)-1] }, link: attest.LinkSignature, found: "ends too early"},
		{name: "6 empty quote", sent: func(e *attest.Evidence) { e.Quote = nil }, link: attest.LinkSignature},
		{name: "7 trailing, signed", after: func(f *forger) { f.tail = []byte{0} }, link: attest.LinkSignature, found: "trailing"},
		{name: "7 trailing, not signed", sent: func(e *attest.Evidence) { e.Quote = append(e.Quote, 0) }, link: attest.LinkSignature, found: "trailing"},
		{name: "8 signature flipped", sent: func(e *attest.Evidence) { e.Signature[20] ^= 1 }, link: attest.LinkSignature, found: ErrSignature.Error()},
		{name: "7 signature trailing", after: func(f *forger) { f.sigTail = []byte{0} }, link: attest.LinkSignature, found: "trailing"},
		{name: "9 signature hash SHA-1", after: func(f *forger) { f.sigHash = 4 }, link: attest.LinkSignature, found: ErrAlgorithm.Error()},
		{name: "10 signature alg RSAPSS", after: func(f *forger) { f.sigAlg = 0x16 }, link: attest.LinkSignature, found: ErrAlgorithm.Error()},
		{name: "11 r and s padded to the length of another curve", sent: func(e *attest.Evidence) {
			pad := func(n []byte) []byte { return append(make([]byte, 16), n...) }
			e.Signature = wire.Sized(wire.Sized(e.Signature[:4:4], pad(e.Signature[6:38])), pad(e.Signature[40:72]))
		}, link: attest.LinkSignature, found: ErrSignature.Error()},
		{name: "11 r zero", after: func(f *forger) { f.r = make([]byte, 32) }, link: attest.LinkSignature, found: "zero"},
		{name: "11 s zero", after: func(f *forger) { f.s = make([]byte, 32) }, link: attest.LinkSignature, found: "zero"},
		{name: "11 r and s beyond n", after: func(f *forger) { f.r = bytes.Repeat([]byte{255}, 32); f.s = f.r }, link: attest.LinkSignature, found: ErrSignature.Error()},
		{name: "11 r empty", after: func(f *forger) { f.r = []byte{} }, link: attest.LinkSignature, found: "canonical"},
		{name: "11 r padded", after: func(f *forger) { f.r = []byte{0, 1} }, link: attest.LinkSignature, found: "canonical"},
		{name: "16 qualified signer of another key", after: func(f *forger) {
			f.signer = qualifiedName(wire.HandleEndorsement, name(wire.AlgSHA256, []byte("other")))
		}, link: attest.LinkSignature, found: "signer"},
		{name: "18 two banks", after: func(f *forger) { f.banks = 2; f.second = []byte{0, 4, 3, 0, 0, 0} }, link: attest.LinkSignature, found: ErrSelection.Error()},
		{name: "19 SHA-1 bank only", after: func(f *forger) { f.alg = 4 }, link: attest.LinkSignature, found: ErrSelection.Error()},
		{name: "23 selection of 4 bytes", after: func(f *forger) { f.sel = []byte{0x81, 0x40, 0, 0} }, link: attest.LinkSignature, found: ErrSelection.Error()},
		{name: "25 PCR digest short", after: func(f *forger) { f.digest = []byte{1} }, link: attest.LinkSignature},
		{name: "21 selection missing one", after: func(f *forger) { f.sel = []byte{0x01, 0x40, 0} }, link: attest.LinkPCR, found: ErrSelection.Error()},
		{name: "22 selection one more", after: func(f *forger) { f.sel = []byte{0x83, 0x40, 0} }, link: attest.LinkPCR, found: ErrSelection.Error()},
		{name: "21 PCR value missing", sent: func(e *attest.Evidence) { e.PCRs = e.PCRs[1:] }, link: attest.LinkPCR},
		{name: "22 PCR value extra", sent: func(e *attest.Evidence) { e.PCRs = append(e.PCRs, attest.PCRValue{Index: 15}) }, link: attest.LinkPCR},
		{name: "23 PCR values reordered", sent: func(e *attest.Evidence) { e.PCRs[0], e.PCRs[1] = e.PCRs[1], e.PCRs[0] }, link: attest.LinkPCR},
		{name: "24 PCR value twice", sent: func(e *attest.Evidence) { e.PCRs[1] = e.PCRs[0] }, link: attest.LinkPCR},
		{name: "25 PCR value short", sent: func(e *attest.Evidence) { e.PCRs[1].Value = e.PCRs[1].Value[:31] }, link: attest.LinkPCR, found: "value of 31 bytes"},
		{name: "25 PCR value empty", sent: func(e *attest.Evidence) { e.PCRs[0].Value = nil }, link: attest.LinkPCR, found: "value of 0 bytes"},
		{name: "27 PCR value changed", sent: func(e *attest.Evidence) { e.PCRs[0].Value[0] ^= 1 }, link: attest.LinkPCR, found: "PCR digest"},
	}
}

func keyNegatives() []negative {
	return []negative{
		{name: "12 swapped AK", sent: func(e *attest.Evidence) {
			e.AK = (&forger{key: otherKey(), attrs: akAttributes, scheme: []uint16{wire.AlgECDSA, wire.AlgSHA256}}).public()
		}, link: attest.LinkSignature, found: "signer"},
		{name: "13 AK not restricted", after: func(f *forger) { f.attrs &^= wire.AttrRestricted }, link: attest.LinkAK, found: ErrAK.Error()},
		{name: "14 AK decrypt and sign", after: func(f *forger) { f.attrs |= wire.AttrDecrypt }, link: attest.LinkAK, found: ErrAK.Error()},
		{name: "15 AK without fixedTPM", after: func(f *forger) { f.attrs &^= wire.AttrFixedTPM }, link: attest.LinkAK, found: ErrAK.Error()},
		{name: "15 AK from outside", after: func(f *forger) { f.attrs &^= wire.AttrSensitiveDataOrigin }, link: attest.LinkAK, found: ErrAK.Error()},
		{name: "AK with a policy", after: func(f *forger) { f.policy = make([]byte, 32) }, link: attest.LinkAK, found: ErrAK.Error()},
		{name: "AK with SHA-1 scheme", after: func(f *forger) { f.scheme = []uint16{wire.AlgECDSA, 4} }, link: attest.LinkAK, found: "hash 0004"},
		{name: "7 AK trailing", after: func(f *forger) { f.keyTail = []byte{0} }, link: attest.LinkAK, found: "trailing"},
		{name: "AK empty", sent: func(e *attest.Evidence) { e.AK = nil }, link: attest.LinkAK},
		{name: "AK off the curve", sent: func(e *attest.Evidence) { e.AK[len(e.AK)-1] ^= 1 }, link: attest.LinkAK, found: "P-256"},
	}
}

func logNegatives() []negative {
	return []negative{
		{name: "41 event extra", before: func(f *forger) { f.log = slices.Insert(f.log, 1, eventlog.Event{Name: "shell"}) }, link: attest.LinkEvents, found: `event 1: expected "config", got "shell"`},
		{name: "42 event missing", before: func(f *forger) { f.log = slices.Delete(f.log, 1, 2) }, link: attest.LinkEvents, found: `event 1: expected "config", got "tls-key"`},
		{name: "43 event reordered", before: func(f *forger) { f.log[0], f.log[1] = f.log[1], f.log[0] }, link: attest.LinkEvents, found: `event 0: expected "binary", got "config"`},
		{name: "46 event data changed", before: func(f *forger) { f.log[1].Digest = sum("evil") }, link: attest.LinkEvents, found: `event 1 "config": expected b796…10, got b5c1…73`},
		{name: "55 TLS key of another connection", before: func(f *forger) { f.log[2].Digest = sum("x") }, link: attest.LinkEvents, found: `event 2 "tls-key"`},
		{name: "59 job key swapped", sent: func(e *attest.Evidence) { e.JobKey = []byte("mine") }, link: attest.LinkEvents, found: `event 3 "job-key"`},
		{name: "log shorter than manifest", before: func(f *forger) {
			f.golden.Baselines[0].Events = append(f.golden.Baselines[0].Events, attest.Golden{Name: "more", Any: [][32]byte{{}}})
		}, link: attest.LinkEvents, found: `event 5: expected "more", got end of log`},
		{name: "log longer than manifest", before: func(f *forger) { f.golden.Baselines[0].Events = f.golden.Baselines[0].Events[:4] }, link: attest.LinkEvents, found: `event 4 "ready": expected end of log`},
		{name: "42 event dropped after measuring", after: func(f *forger) { f.log = slices.Delete(f.log, 1, 2) }, link: attest.LinkReplay, found: "replays to"},
		{name: "41 event added after measuring", after: func(f *forger) { f.log = slices.Insert(f.log, 1, eventlog.Event{Name: "x"}) }, link: attest.LinkReplay},
		{name: "47 event renamed after measuring", after: func(f *forger) { f.log[0].Name = "shell" }, link: attest.LinkReplay},
		{name: "46 event text changed after measuring", after: func(f *forger) { f.log[0].Text = "v9" }, link: attest.LinkReplay},
		{name: "event after ready", before: func(f *forger) { f.log = append(f.log, eventlog.Event{Name: "late"}) }, link: attest.LinkReplay, found: eventlog.ErrAfter.Error()},
		{name: "second ready", before: func(f *forger) { f.log = append(f.log, f.log[4]) }, link: attest.LinkReplay, found: eventlog.ErrAfter.Error()},
		{name: "log not closed", before: func(f *forger) { f.log = f.log[:4] }, link: attest.LinkReplay, found: "not closed"},
		{name: "50 log empty", before: func(f *forger) { f.log = nil }, link: attest.LinkReplay, found: "not closed"},
		{name: "PCR 14 not extended", after: func(f *forger) { f.values[2].Value = make([]byte, 32) }, link: attest.LinkReplay, found: "PCR 14"},
		{name: "log not CBOR", sent: func(e *attest.Evidence) { e.AppLog = []byte{0xff} }, link: attest.LinkReplay, found: eventlog.ErrSyntax.Error()},
	}
}

func manifestNegatives() []negative {
	return []negative{
		{name: "63 manifest expired", before: func(f *forger) { f.golden.NotAfter = 1000 }, link: attest.LinkValidity, found: manifest.ErrExpired.Error()},
		{name: "manifest early", before: func(f *forger) { f.golden.NotBefore = 1001 }, link: attest.LinkValidity, found: manifest.ErrEarly.Error()},
		{name: "64 manifest rolled back", before: func(f *forger) { f.golden.Version = 4 }, link: attest.LinkValidity, found: manifest.ErrRollback.Error()},
		{name: "71 manifest of another product", before: func(f *forger) { f.golden.Product = "other" }, link: attest.LinkValidity, found: manifest.ErrProduct.Error()},
		{name: "65 one signature of two", before: func(f *forger) { f.expect.Policy.Threshold = 2 }, link: attest.LinkManifest, found: "1 signed, want 2"},
		{name: "66 same key twice", before: func(f *forger) { f.expect.Policy.Threshold = 2; f.signers = append(f.signers, f.signers[0]) }, link: attest.LinkManifest, found: manifest.ErrSigners.Error()},
		{name: "unknown signer", before: func(f *forger) { f.signers[0] = seeded(9) }, link: attest.LinkManifest, found: manifest.ErrSigners.Error()},
		{name: "policy without signers", before: func(f *forger) { f.expect.Policy.Signers = nil }, link: attest.LinkManifest, found: manifest.ErrPolicy.Error()},
		{name: "policy without threshold", before: func(f *forger) { f.expect.Policy.Threshold = 0 }, link: attest.LinkManifest, found: manifest.ErrPolicy.Error()},
		{name: "no manifest", sent: func(e *attest.Evidence) { e.Manifest = nil }, link: attest.LinkManifest, found: manifest.ErrShape.Error()},
		{name: "hardware demanded", before: func(f *forger) { f.expect.Policy.MinRoot = attest.RootHardware }, link: attest.LinkRoot, found: "policy demands hardware TPM"},
		{name: "vTPM demanded", before: func(f *forger) { f.expect.Policy.MinRoot = attest.RootVTPM }, link: attest.LinkRoot, found: "policy demands vTPM"},
	}
}

func TestNegatives(t *testing.T) {
	for _, n := range slices.Concat(quoteNegatives(), keyNegatives(), rsaNegatives(), p384Negatives(), logNegatives(), manifestNegatives()) {
		t.Run(n.name, func(t *testing.T) {
			if n.by == nil {
				n.by = newForger
			}
			f := n.by(t)
			if n.before != nil {
				n.before(f)
			}
			f.replayed(t)
			if n.after != nil {
				n.after(f)
			}
			e := f.evidence(t)
			if n.sent != nil {
				n.sent(&e)
			}
			v, err := Verifier{PCRs: f.pcrs, Bank: f.bank}.Verify(t.Context(), e, f.expect)
			if err != nil {
				t.Fatal(err)
			}
			b := v.Broken()
			if v.OK() || b == nil || v.Word() != "REFUSED" {
				t.Fatalf("accepted: %+v", v)
			}
			if b.ID != n.link || !strings.Contains(b.Found, n.found) {
				t.Fatalf("broke at %s: %s; want %s: …%s…", b.ID, b.Found, n.link, n.found)
			}
			checkOrder(t, v)
		})
	}
}

// checkOrder: the chain is whole, in order, and unchecked below the break.
func checkOrder(t *testing.T, v *attest.Verdict) {
	t.Helper()
	want := []string{attest.LinkEK, attest.LinkRoot, attest.LinkEnrol, attest.LinkAK, attest.LinkSignature, attest.LinkNonce,
		attest.LinkPCR, attest.LinkClock, attest.LinkReplay, attest.LinkFirmware, attest.LinkSecureBoot, attest.LinkIMA,
		attest.LinkManifest, attest.LinkValidity, attest.LinkDeny, attest.LinkLogProof, attest.LinkBoot, attest.LinkEvents, attest.LinkJobKey}
	broken := false
	for i, l := range v.Links {
		if l.ID != want[i] {
			t.Fatalf("link %d is %s, want %s", i, l.ID, want[i])
		}
		if broken && l.State != attest.NotChecked {
			t.Errorf("%s is %s below a broken link", l.ID, l.State)
		}
		broken = broken || l.State == attest.Fail
		for _, s := range []string{l.Claim, l.Rule, l.NotProven, l.Why, l.Found} {
			if s == "" || utf8.RuneCountInString(s) > links.FoundLimit {
				t.Errorf("%s: text of %d characters: %q", l.ID, utf8.RuneCountInString(s), s)
			}
		}
	}
	if len(v.Links) != len(want) {
		t.Fatalf("%d links, want %d", len(v.Links), len(want))
	}
}

// A forger with no TPM at all passes, and that is why the verdict says demo.
func TestForgerIsOnlyEverADemo(t *testing.T) {
	f := newForger(t)
	f.replayed(t)
	v, err := Verifier{PCRs: f.pcrs}.Verify(t.Context(), f.evidence(t), f.expect)
	if err != nil || !v.OK() {
		t.Fatalf("%v %+v", err, v.Broken())
	}
	checkOrder(t, v)
	if v.Word() != "demo" || v.Root != attest.RootSoftware {
		t.Fatalf("a forger is %q, %s", v.Word(), v.Root)
	}
	for _, l := range v.Links {
		notBuilt := slices.Contains([]string{attest.LinkEK, attest.LinkEnrol, attest.LinkFirmware, attest.LinkSecureBoot, attest.LinkIMA, attest.LinkLogProof, attest.LinkJobKey}, l.ID)
		if notBuilt != (l.State == attest.NotChecked) {
			t.Errorf("%s is %s", l.ID, l.State)
		}
	}
	if !v.NotAfter.Equal(f.expect.Now.Add(AskAgain)) || v.Version != 5 || len(v.Signers) != 1 || len(v.Measured) != 5 {
		t.Fatalf("verdict %+v", v)
	}
	f.golden.NotAfter = 1100
	v, err = Verifier{PCRs: f.pcrs}.Verify(t.Context(), f.evidence(t), f.expect)
	if err != nil || !v.NotAfter.Equal(time.Unix(1100, 0)) {
		t.Fatalf("verdict outlives its manifest: %v %v", v.NotAfter, err)
	}
}

func TestImpossibleQuestions(t *testing.T) {
	f := newForger(t)
	f.replayed(t)
	good := f.evidence(t)
	for name, c := range map[string]func(*Verifier, *attest.Evidence, *attest.Expect){
		"no PCRs":        func(v *Verifier, _ *attest.Evidence, _ *attest.Expect) { v.PCRs = nil },
		"no PCR 14":      func(v *Verifier, _ *attest.Evidence, _ *attest.Expect) { v.PCRs = []uint8{0, 16, 23} },
		"PCR 24":         func(v *Verifier, _ *attest.Evidence, _ *attest.Expect) { v.PCRs = []uint8{14, 24} },
		"PCRs unordered": func(v *Verifier, _ *attest.Evidence, _ *attest.Expect) { v.PCRs = []uint8{14, 7} },
		"other type":     func(_ *Verifier, e *attest.Evidence, _ *attest.Expect) { e.Type = "snp" },
		"other version":  func(_ *Verifier, e *attest.Evidence, _ *attest.Expect) { e.V = 1 },
		"no binding":     func(_ *Verifier, _ *attest.Evidence, x *attest.Expect) { x.Bind = nil },
	} {
		v, e, x := Verifier{PCRs: f.pcrs}, good, f.expect
		c(&v, &e, &x)
		if verdict, err := v.Verify(t.Context(), e, x); !errors.Is(err, ErrAsk) || verdict != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

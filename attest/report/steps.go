package report

import (
	"bytes"
	"crypto/subtle"

	"cipherdeck/attest"
	"cipherdeck/attest/links"
	"cipherdeck/attest/manifest"
)

// foreign names the first field that only a TPM fills: a byte that no rule
// looks at is a byte of an attacker.
func foreign(e attest.Evidence) string {
	for _, f := range []struct {
		name string
		b    []byte
	}{{"ak", e.AK}, {"signature", e.Signature}, {"app_log", e.AppLog}, {"ek", e.EK}, {"firmware", e.Firmware}, {"ima", e.IMA},
		{"key_public", e.KeyPublic}, {"key_certify", e.KeyCertify}, {"key_signature", e.KeySig}} {
		if len(f.b) > 0 {
			return f.name
		}
	}
	if len(e.PCRs) > 0 {
		return "pcrs"
	}
	return ""
}

func (t *Trial) chain() (attest.State, string) {
	if name := foreign(t.E); name != "" {
		return links.Fail("field %s is of a TPM: evidence of type %s has none", name, t.kind.Type)
	}
	if len(t.E.Collateral) > 0 && !t.kind.Collateral {
		return links.Fail("field collateral is of TDX and SGX: evidence of type %s has none", t.kind.Type)
	}
	for _, der := range t.E.EKChain {
		t.Show("certificate", der)
	}
	if err := t.kind.Chain(t); err != nil {
		return links.Fail("%v", err)
	}
	t.V.Maker, t.V.EK = t.Maker, t.SPKI
	t.Until(t.Ends)
	return links.Pass("certified by %s", t.Maker)
}

func (t *Trial) root() (attest.State, string) {
	p := t.X.Policy
	switch {
	case t.kind.Root < p.MinRoot:
		return links.Fail("expected %s or better, got %s", p.MinRoot, t.kind.Root)
	case len(p.AKName) > 0:
		return links.Fail("the machine seen first had a TPM's attestation key")
	case len(p.EK) > 0 && !bytes.Equal(p.EK, t.SPKI):
		return links.Fail("the chip's key is another than the one seen first")
	}
	t.V.Root = t.kind.Root
	return links.Pass("%s", t.kind.Root)
}

func (t *Trial) report() (attest.State, string) {
	t.Show("report", t.E.Quote)
	if err := t.kind.Report(t); err != nil {
		return links.Fail("%v", err)
	}
	return links.Pass("signed by the chip's key")
}

func (t *Trial) binding() (attest.State, string) {
	want := make([]byte, DataSize)
	copy(want, t.X.Bind)
	t.Show("expected", want)
	t.Show("free data", t.Data)
	if t.X.Look && t.X.Bind == nil {
		return links.Unchecked("free data is %s; nobody said what it must be", attest.Short(t.Data))
	}
	if subtle.ConstantTimeCompare(want, t.Data) != 1 {
		return links.Fail("expected %s and zeros, got %x", attest.Short(t.X.Bind), t.Data)
	}
	return links.Pass("free data is our binding, %s", attest.Short(t.X.Bind))
}

// unknown is a link about a manifest that nobody gave.
func (t *Trial) unknown() (attest.State, string) {
	if len(t.Measurement) > 0 {
		t.Show("measurement", t.Measurement)
	}
	return links.Unchecked("no manifest was given; the measurement is %s", attest.Short(t.Measurement))
}

func (t *Trial) debug() (attest.State, string) { return t.kind.Debug(t) }

func (t *Trial) deny() (attest.State, string) { return t.Denied(t.Serials...) }

func (t *Trial) tcb() (attest.State, string) {
	var mine []attest.Floor
	for _, f := range t.Golden.Deny.Floors {
		if f.Type == t.kind.Type {
			mine = append(mine, f)
		}
	}
	return t.kind.TCB(t, mine)
}

func (t *Trial) measurement() (attest.State, string) {
	t.Show("measurement", t.Measurement)
	j := t.Golden.Judge(manifest.Measured{Type: t.kind.Type, SPKI: t.X.SPKI, JobKey: t.E.JobKey, Manifest: t.E.Manifest, Report: t.Measurement})
	t.V.Baseline = j.Baseline
	if !j.OK() {
		return links.Fail("%s", j.Report+j.PCR)
	}
	return links.Pass("baseline %q, %s", j.Baseline, attest.Short(t.Measurement))
}

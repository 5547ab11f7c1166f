package report

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
)

func pass(format string, a ...any) (attest.State, string) {
	return attest.Pass, fmt.Sprintf(format, a...)
}

func fail(format string, a ...any) (attest.State, string) {
	return attest.Fail, fmt.Sprintf(format, a...)
}

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
		return fail("field %s is of a TPM: evidence of type %s has none", name, t.kind.Type)
	}
	for _, der := range t.E.EKChain {
		t.Show("certificate", der)
	}
	if err := t.kind.Chain(t); err != nil {
		return fail("%v", err)
	}
	t.v.Maker, t.v.EK = t.Maker, t.SPKI
	t.until(t.Until)
	return pass("certified by %s", t.Maker)
}

func (t *Trial) root() (attest.State, string) {
	p := t.X.Policy
	switch {
	case t.kind.Root < p.MinRoot:
		return fail("expected %s or better, got %s", p.MinRoot, t.kind.Root)
	case len(p.AKName) > 0:
		return fail("the machine seen first had a TPM's attestation key")
	case len(p.EK) > 0 && !bytes.Equal(p.EK, t.SPKI):
		return fail("the chip's key is another than the one seen first")
	}
	t.v.Root = t.kind.Root
	return pass("%s", t.kind.Root)
}

func (t *Trial) report() (attest.State, string) {
	t.Show("report", t.E.Quote)
	if err := t.kind.Report(t); err != nil {
		return fail("%v", err)
	}
	return pass("signed by the chip's key")
}

func (t *Trial) binding() (attest.State, string) {
	want := make([]byte, DataSize)
	copy(want, t.X.Bind)
	t.Show("expected", want)
	t.Show("free data", t.Data)
	if subtle.ConstantTimeCompare(want, t.Data) != 1 {
		return fail("expected %s and zeros, got %x", attest.Short(t.X.Bind), t.Data)
	}
	return pass("free data is our binding, %s", attest.Short(t.X.Bind))
}

func (t *Trial) debug() (attest.State, string) { return t.kind.Debug(t) }

func (t *Trial) manifest() (attest.State, string) {
	t.Show("signed manifest", t.E.Manifest)
	var err error
	if t.golden, err = manifest.Open(t.E.Manifest, t.X.Policy); err != nil {
		return fail("%v", err)
	}
	t.v.Signers, t.v.Version = t.golden.Signers, t.golden.Version
	t.v.Deny, t.v.Manifest = t.golden.Deny.Version, t.golden.Digest
	t.until(time.Unix(t.golden.NotAfter, 0))
	return pass("%d of %d accepted signers, %d needed", len(t.golden.Signers), len(t.X.Policy.Signers), t.X.Policy.Threshold)
}

func (t *Trial) validity() (attest.State, string) {
	err := manifest.Valid(t.golden.Manifest, t.X.Policy, t.X.Now)
	if errors.Is(err, manifest.ErrProduct) {
		return fail("%v: %q", manifest.ErrProduct, t.golden.Product)
	}
	if err != nil {
		return fail("%v", err)
	}
	return pass("%q version %d", t.golden.Product, t.golden.Version)
}

func (t *Trial) deny() (attest.State, string) {
	switch why, err := t.golden.Denied(t.v, t.X.Policy, t.Serials...); {
	case err != nil:
		return fail("%v", err)
	case why != "":
		return fail("%s", why)
	}
	return pass("deny list %d", t.golden.Deny.Version)
}

func (t *Trial) tcb() (attest.State, string) {
	var mine []attest.Floor
	for _, f := range t.golden.Deny.Floors {
		if f.Type == t.kind.Type {
			mine = append(mine, f)
		}
	}
	return t.kind.TCB(t, mine)
}

func (t *Trial) logProof() (attest.State, string) {
	return manifest.Proven(t.E.Manifest, t.E.Proof, t.X.Policy.Log, t.X.Now)
}

func (t *Trial) measurement() (attest.State, string) {
	t.Show("measurement", t.Measurement)
	j := t.golden.Judge(manifest.Measured{Type: t.kind.Type, SPKI: t.X.SPKI, JobKey: t.E.JobKey, Manifest: t.E.Manifest, Report: t.Measurement})
	t.v.Baseline = j.Baseline
	if !j.OK() {
		return fail("%s", j.Report+j.PCR)
	}
	return pass("baseline %q, %s", j.Baseline, attest.Short(t.Measurement))
}

package tpm2

import (
	"fmt"
	"unicode/utf8"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
)

// boot holds the registers against the manifest's baselines.
func (t *trial) boot() (attest.State, string) {
	t.judged = t.golden.Judge(manifest.Measured{
		Type: Type, Events: t.log, Rows: t.v.PCRs, Bank: attest.SHA256, SPKI: t.x.SPKI, JobKey: t.e.JobKey,
	})
	t.v.Baseline, t.v.PCRs = t.judged.Baseline, t.judged.Rows
	if t.judged.PCR != "" {
		return attest.Fail, t.judged.PCR
	}
	return pass("baseline %q", t.judged.Baseline)
}

// events holds the log against the same baseline.
func (t *trial) events() (attest.State, string) {
	if t.judged.Event != "" {
		return attest.Fail, t.judged.Event
	}
	return pass("%d events, all in the manifest", len(t.log))
}

func (t *trial) deny() (attest.State, string) {
	switch why, err := t.golden.Denied(t.v, t.x.Policy); {
	case err != nil:
		return attest.Fail, err.Error()
	case why != "":
		return attest.Fail, why
	}
	return pass("deny list %d", t.golden.Deny.Version)
}

// short is enough of a digest to tell two apart on a screen.
func short(b []byte) string {
	if len(b) < 4 {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprintf("%x…%x", b[:2], b[len(b)-1:])
}

const (
	foundLimit = 100 // characters of Link.Found
)

func clip(s string) string {
	if utf8.RuneCountInString(s) <= foundLimit {
		return s
	}
	return string([]rune(s)[:foundLimit-1]) + "…"
}

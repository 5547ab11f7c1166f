package tpm2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/ima"
	"cipherdeck/attest/manifest"
)

func (t *trial) replay() (attest.State, string) {
	log, err := eventlog.Parse(t.e.AppLog)
	if err != nil {
		return fail("%v", err)
	}
	got, err := eventlog.Replay(log, t.bank)
	if err != nil {
		return fail("%v", err)
	}
	t.show("log replays to", got)
	for _, v := range t.e.PCRs {
		if v.Index == eventlog.PCR && !bytes.Equal(v.Value, got) {
			return fail("PCR %d: quoted %s, log replays to %s", eventlog.PCR, attest.Short(v.Value), attest.Short(got))
		}
	}
	t.log = log
	t.v.Measured = make(map[string][]byte, len(log))
	for _, e := range log {
		t.v.Measured[e.Name] = e.Digest[:]
	}
	return pass("%d events replay to PCR %d, %s", len(log), eventlog.PCR, attest.Short(got))
}

// firmware replays the firmware's log, and says which registers nothing
// explains.
func (t *trial) firmware() (attest.State, string) {
	x, err := bootlog.Explain(t.e.Firmware, t.bank, t.e.PCRs)
	if err != nil {
		return fail("%v", err)
	}
	t.boot, t.v.PCRs = x, x.Rows
	t.ownEvents()
	if x.Wrong != "" {
		return fail("%s", x.Wrong)
	}
	unknown := t.unexplained()
	switch {
	case len(t.e.Firmware) == 0 && unknown == "":
		return unchecked("no firmware log, and the registers it would explain were never extended")
	case len(t.e.Firmware) == 0:
		return unchecked("no firmware log was given: nothing explains PCR %s", unknown)
	case unknown != "":
		return warn("%d events replay; nothing explains PCR %s", x.Events, unknown)
	}
	return pass("%d events replay; every register is explained", x.Events)
}

// ownEvents puts the application log under its register.
func (t *trial) ownEvents() {
	for i := range t.v.PCRs {
		row := &t.v.PCRs[i]
		if row.Index != eventlog.PCR {
			continue
		}
		row.Explained, row.Events = true, nil
		for _, e := range t.log {
			text := e.Name
			if e.Text != "" {
				text += ": " + e.Text
			}
			row.Events = append(row.Events, attest.PCREvent{Type: "application", Text: bootlog.Clean(text), Digest: e.Digest[:], Covered: true})
		}
	}
}

// unexplained lists the registers that hold something no log explains.
func (t *trial) unexplained() string {
	var out []string
	for _, row := range t.v.PCRs {
		started := bytes.Count(row.Value, []byte{0}) == len(row.Value) || bytes.Count(row.Value, []byte{0xFF}) == len(row.Value)
		if !row.Explained && !started && row.Index != ima.PCR {
			out = append(out, fmt.Sprint(row.Index))
		}
	}
	return strings.Join(out, ", ")
}

func (t *trial) secureBoot() (attest.State, string) {
	switch {
	case len(t.e.Firmware) == 0:
		return unchecked("no firmware log was given")
	case !t.boot.Secure:
		return warn("the log does not say whether Secure Boot was on")
	case !t.boot.SecureBoot:
		return warn("Secure Boot was OFF")
	}
	return pass("Secure Boot was on")
}

// imaLog replays the kernel's list. It is told, and demanded by no baseline:
// the order in which files are opened is not fixed.
func (t *trial) imaLog() (attest.State, string) {
	if len(t.e.IMA) == 0 {
		return unchecked("no list of the kernel was given")
	}
	events, got, err := ima.Explain(t.e.IMA, t.bank)
	if err != nil {
		return fail("%v", err)
	}
	t.show("list replays to", got)
	for i := range t.v.PCRs {
		row := &t.v.PCRs[i]
		if row.Index != ima.PCR {
			continue
		}
		row.Events, row.Explained = events, bytes.Equal(row.Value, got)
		if !row.Explained {
			return fail("PCR %d: quoted %s, list replays to %s", ima.PCR, attest.Short(row.Value), attest.Short(got))
		}
		return pass("%d files replay to PCR %d", len(events), ima.PCR)
	}
	return fail("a list was given, and PCR %d is not quoted", ima.PCR)
}

func (t *trial) manifest() (attest.State, string) {
	t.show("signed manifest", t.e.Manifest)
	var err error
	if t.golden, err = manifest.Open(t.e.Manifest, t.x.Policy); err != nil {
		return fail("%v", err)
	}
	t.v.Signers, t.v.Version = t.golden.Signers, t.golden.Version
	t.v.Deny, t.v.Manifest = t.golden.Deny.Version, t.golden.Digest
	t.until(time.Unix(t.golden.NotAfter, 0))
	return pass("%d of %d accepted signers, %d needed", len(t.golden.Signers), len(t.x.Policy.Signers), t.x.Policy.Threshold)
}

func (t *trial) validity() (attest.State, string) {
	err := manifest.Valid(t.golden.Manifest, t.x.Policy, t.x.Now)
	if err == nil {
		return pass("%q version %d", t.golden.Product, t.golden.Version)
	}
	if errors.Is(err, manifest.ErrProduct) {
		return fail("%v: %q", manifest.ErrProduct, t.golden.Product)
	}
	return fail("%v", err)
}

func (t *trial) deny() (attest.State, string) {
	switch why, err := t.golden.Denied(t.v, t.x.Policy, t.made.Serials...); {
	case err != nil:
		return fail("%v", err)
	case why != "":
		return fail("%s", why)
	}
	return pass("deny list %d", t.golden.Deny.Version)
}

func (t *trial) logProof() (attest.State, string) {
	return manifest.Proven(t.e.Manifest, t.e.Proof, t.x.Policy.Log, t.x.Now)
}

// state holds the registers against the manifest's baselines.
func (t *trial) state() (attest.State, string) {
	t.judged = t.golden.Judge(manifest.Measured{
		Type: Type, Events: t.log, Rows: t.v.PCRs, Bank: t.bank,
		SecureBoot: t.boot.Secure && t.boot.SecureBoot, SPKI: t.x.SPKI, JobKey: t.e.JobKey, Manifest: t.e.Manifest,
	})
	t.v.Baseline, t.v.PCRs = t.judged.Baseline, t.judged.Rows
	if t.judged.PCR != "" {
		return fail("%s", t.judged.PCR)
	}
	demanded := 0
	for _, r := range t.v.PCRs {
		if r.State == attest.PCRMatches {
			demanded++
		}
	}
	if demanded == 0 {
		return warn("baseline %q demands no register but the application log's", t.judged.Baseline)
	}
	return pass("baseline %q, %d registers match", t.judged.Baseline, demanded)
}

// events holds the application log against the same baseline.
func (t *trial) events() (attest.State, string) {
	if t.judged.Event != "" {
		return fail("%s", t.judged.Event)
	}
	return pass("%d events, all in baseline %q", len(t.log), t.judged.Baseline)
}

package tpm2

import (
	"bytes"
	"fmt"
	"strings"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/ima"
	"cipherdeck/attest/links"
	"cipherdeck/attest/manifest"
)

func (t *trial) replay() (attest.State, string) {
	log, err := eventlog.Parse(t.E.AppLog)
	if err != nil {
		return links.Fail("%v", err)
	}
	got, err := eventlog.Replay(log, t.bank)
	if err != nil {
		return links.Fail("%v", err)
	}
	t.Show("log replays to", got)
	for _, v := range t.E.PCRs {
		if v.Index == eventlog.PCR && !bytes.Equal(v.Value, got) {
			return links.Fail("PCR %d: quoted %s, log replays to %s", eventlog.PCR, attest.Short(v.Value), attest.Short(got))
		}
	}
	t.log = log
	t.V.Measured = make(map[string][]byte, len(log))
	for _, e := range log {
		t.V.Measured[e.Name] = e.Digest[:]
	}
	return links.Pass("%d events replay to PCR %d, %s", len(log), eventlog.PCR, attest.Short(got))
}

// firmware replays the firmware's log, and says which registers nothing
// explains.
func (t *trial) firmware() (attest.State, string) {
	x, err := bootlog.Explain(t.E.Firmware, t.bank, t.E.PCRs)
	if err != nil {
		return links.Fail("%v", err)
	}
	t.boot, t.V.PCRs = x, x.Rows
	t.ownEvents()
	if x.Wrong != "" {
		return links.Fail("%s", x.Wrong)
	}
	unknown := t.unexplained()
	switch {
	case len(t.E.Firmware) == 0 && unknown == "":
		return links.Unchecked("no firmware log, and the registers it would explain were never extended")
	case len(t.E.Firmware) == 0:
		return links.Unchecked("no firmware log was given: nothing explains PCR %s", unknown)
	case unknown != "":
		return links.Warn("%d events replay; nothing explains PCR %s", x.Events, unknown)
	}
	return links.Pass("%d events replay; every register is explained", x.Events)
}

// ownEvents puts the application log under its register.
func (t *trial) ownEvents() {
	for i := range t.V.PCRs {
		row := &t.V.PCRs[i]
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
	for _, row := range t.V.PCRs {
		started := bytes.Count(row.Value, []byte{0}) == len(row.Value) || bytes.Count(row.Value, []byte{0xFF}) == len(row.Value)
		if !row.Explained && !started && row.Index != ima.PCR {
			out = append(out, fmt.Sprint(row.Index))
		}
	}
	return strings.Join(out, ", ")
}

func (t *trial) secureBoot() (attest.State, string) {
	switch {
	case len(t.E.Firmware) == 0:
		return links.Unchecked("no firmware log was given")
	case !t.boot.Secure:
		return links.Warn("the log does not say whether Secure Boot was on")
	case !t.boot.SecureBoot:
		return links.Warn("Secure Boot was OFF")
	}
	return links.Pass("Secure Boot was on")
}

// imaLog replays the kernel's list. It is told, and demanded by no baseline:
// the order in which files are opened is not fixed.
func (t *trial) imaLog() (attest.State, string) {
	if len(t.E.IMA) == 0 {
		return links.Unchecked("no list of the kernel was given")
	}
	events, got, err := ima.Explain(t.E.IMA, t.bank)
	if err != nil {
		return links.Fail("%v", err)
	}
	t.Show("list replays to", got)
	for i := range t.V.PCRs {
		row := &t.V.PCRs[i]
		if row.Index != ima.PCR {
			continue
		}
		row.Events, row.Explained = events, bytes.Equal(row.Value, got)
		if !row.Explained {
			return links.Fail("PCR %d: quoted %s, list replays to %s", ima.PCR, attest.Short(row.Value), attest.Short(got))
		}
		return links.Pass("%d files replay to PCR %d", len(events), ima.PCR)
	}
	return links.Fail("a list was given, and PCR %d is not quoted", ima.PCR)
}

func (t *trial) deny() (attest.State, string) { return t.Denied(t.made.Serials...) }

// state holds the registers against the manifest's baselines.
func (t *trial) state() (attest.State, string) {
	t.judged = t.Golden.Judge(manifest.Measured{
		Type: Type, Events: t.log, Rows: t.V.PCRs, Bank: t.bank,
		SecureBoot: t.boot.Secure && t.boot.SecureBoot, SPKI: t.X.SPKI, JobKey: t.E.JobKey, Certified: len(t.E.KeyCertify) > 0, Manifest: t.E.Manifest,
	})
	t.V.Baseline, t.V.PCRs = t.judged.Baseline, t.judged.Rows
	if t.judged.PCR != "" {
		return links.Fail("%s", t.judged.PCR)
	}
	demanded := 0
	for _, r := range t.V.PCRs {
		if r.State == attest.PCRMatches {
			demanded++
		}
	}
	if demanded == 0 {
		return links.Warn("baseline %q demands no register but the application log's", t.judged.Baseline)
	}
	return links.Pass("baseline %q, %d registers match", t.judged.Baseline, demanded)
}

// events holds the application log against the same baseline.
func (t *trial) events() (attest.State, string) {
	if t.judged.Event != "" {
		return links.Fail("%s", t.judged.Event)
	}
	return links.Pass("%d events, all in baseline %q", len(t.log), t.judged.Baseline)
}

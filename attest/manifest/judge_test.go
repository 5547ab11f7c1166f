package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
)

func sum(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

func event(name, what string) eventlog.Event {
	return eventlog.Event{Name: name, Digest: [32]byte(sum(what))}
}

func wants(name, what string) attest.Golden {
	return attest.Golden{Name: name, Any: [][32]byte{[32]byte(sum(what))}}
}

// fleet accepts two states of a machine, as while an update is under way.
func fleet() attest.Manifest {
	m := good()
	rule := func(i uint8, v string) attest.PCRRule {
		return attest.PCRRule{Index: i, Bank: attest.SHA256, Values: [][]byte{sum(v)}}
	}
	m.Baselines = []attest.Baseline{
		{Name: "old", Events: []attest.Golden{wants("binary", "1"), {Name: "tls-key", Bound: true}}, PCRs: []attest.PCRRule{rule(11, "kernel 1")}},
		{Name: "new", Events: []attest.Golden{wants("binary", "2"), {Name: "tls-key", Bound: true}}, SecureBoot: true,
			PCRs: []attest.PCRRule{rule(11, "kernel 2"), {Index: 4, Bank: attest.SHA256, Events: [][]byte{sum("loader"), sum("separator")}}}},
	}
	return m
}

func machine(binary, kernel string) Measured {
	return Measured{
		Type: "tpm2", Bank: attest.SHA256, SPKI: [32]byte(sum("tls")), SecureBoot: true,
		Events: []eventlog.Event{event("binary", binary), event("tls-key", "tls")},
		Rows: []attest.PCRRow{
			{Index: 4, Value: sum("4"), Explained: true, Events: []attest.PCREvent{{Text: "shim.efi", Digest: sum("loader")}, {Digest: sum("separator")}}},
			{Index: 11, Value: sum(kernel), Meaning: "kernel"},
		},
	}
}

func TestJudge(t *testing.T) {
	o := Opened{Manifest: fleet()}
	for name, c := range map[string]struct {
		m                    Measured
		change               func(*Measured)
		baseline, pcr, event string
	}{
		"old":             {m: machine("1", "kernel 1"), baseline: "old"},
		"new":             {m: machine("2", "kernel 2"), baseline: "new"},
		"half of each":    {m: machine("2", "kernel 1"), baseline: "new", pcr: "PCR 11 (kernel): expected"},
		"neither kernel":  {m: machine("2", "kernel 3"), baseline: "new", pcr: "PCR 11"},
		"neither program": {m: machine("3", "kernel 1"), baseline: "old", event: `event 0 "binary": expected`},
		"one more boot image": {m: machine("2", "kernel 2"), change: func(m *Measured) {
			m.Rows[0].Events = append(m.Rows[0].Events, attest.PCREvent{Type: "EFI_BOOT_SERVICES_APPLICATION", Text: "shell.efi", Digest: sum("shell")})
		}, baseline: "new", pcr: "event 2, EFI_BOOT_SERVICES_APPLICATION shell.efi"},
		"no log for a register":        {m: machine("2", "kernel 2"), change: func(m *Measured) { m.Rows[0].Explained = false }, baseline: "new", pcr: "no log explains it"},
		"Secure Boot off":              {m: machine("2", "kernel 2"), change: func(m *Measured) { m.SecureBoot = false }, baseline: "new", pcr: "demands Secure Boot"},
		"register not quoted":          {m: machine("2", "kernel 2"), change: func(m *Measured) { m.Rows = m.Rows[:1] }, baseline: "new", pcr: "PCR 11 is demanded"},
		"other bank":                   {m: machine("2", "kernel 2"), change: func(m *Measured) { m.Bank = attest.SHA384 }, baseline: "new", pcr: "bank"},
		"TLS key of another":           {m: machine("2", "kernel 2"), change: func(m *Measured) { m.SPKI = [32]byte{} }, baseline: "new", event: "this connection's"},
		"report against a TPM machine": {m: Measured{Type: "snp", Report: sum("x")}, baseline: "old"},
	} {
		if c.change != nil {
			c.change(&c.m)
		}
		j := o.Judge(c.m)
		good := c.pcr == "" && c.event == "" && c.m.Type == "tpm2"
		if j.OK() != good || j.Baseline != c.baseline || !strings.Contains(j.PCR, c.pcr) || !strings.Contains(j.Event, c.event) {
			t.Errorf("%s: %+v", name, j)
		}
	}
	j := o.Judge(machine("2", "kernel 2"))
	if j.Rows[1].State != attest.PCRMatches || len(j.Rows[1].Want) != 1 || j.Rows[0].State != attest.PCRMatches {
		t.Errorf("rows %+v", j.Rows)
	}
	m := machine("2", "kernel 2")
	m.Rows[0].Events[0].Digest = sum("evil")
	if j := o.Judge(m); !j.Rows[0].Events[0].First || m.Rows[0].Events[0].First || j.Rows[0].State != attest.PCRDiffers {
		t.Errorf("the first stray event is not marked: %+v", j.Rows[0])
	}
}

func TestJudgeReports(t *testing.T) {
	m := good()
	m.Baselines = []attest.Baseline{{Name: "snp", Reports: [][]byte{bytes.Repeat([]byte{1}, 48)}}}
	o := Opened{Manifest: m}
	if j := o.Judge(Measured{Type: "snp", Report: bytes.Repeat([]byte{1}, 48)}); !j.OK() || j.Baseline != "snp" {
		t.Errorf("%+v", j)
	}
	if j := o.Judge(Measured{Type: "snp", Report: bytes.Repeat([]byte{2}, 48)}); j.OK() || j.Report == "" {
		t.Errorf("%+v", j)
	}
	if j := o.Judge(Measured{Type: "snp"}); j.OK() {
		t.Error("no measurement is accepted")
	}
	if j := o.Judge(machine("1", "kernel 1")); j.OK() {
		t.Error("a baseline of reports accepts a TPM machine")
	}
}

// 70 wildcard PCR set, and its kin.
func TestRulesRefused(t *testing.T) {
	for name, r := range map[string]attest.PCRRule{
		"70 neither values nor events": {Index: 4, Bank: attest.SHA256},
		"both":                         {Index: 4, Bank: attest.SHA256, Values: [][]byte{sum("x")}, Events: [][]byte{sum("x")}},
		"26 debug register":            {Index: 16, Bank: attest.SHA256, Values: [][]byte{sum("x")}},
		"26 application register":      {Index: 23, Bank: attest.SHA256, Values: [][]byte{sum("x")}},
		"no such register":             {Index: 24, Bank: attest.SHA256, Values: [][]byte{sum("x")}},
		"SHA-1 bank":                   {Index: 4, Bank: 4, Values: [][]byte{make([]byte, 20)}},
		"25 short value":               {Index: 4, Bank: attest.SHA256, Values: [][]byte{{1}}},
		"empty value":                  {Index: 4, Bank: attest.SHA256, Values: [][]byte{nil}},
		"event of another bank":        {Index: 4, Bank: attest.SHA384, Events: [][]byte{sum("x")}},
	} {
		m := good()
		m.Baselines[0].PCRs = []attest.PCRRule{r}
		if _, err := Sign(m, key(1)); !errors.Is(err, ErrShape) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := good()
	r := attest.PCRRule{Index: 4, Bank: attest.SHA256, Values: [][]byte{sum("x")}}
	m.Baselines[0].PCRs = []attest.PCRRule{r, r}
	if _, err := Sign(m, key(1)); !errors.Is(err, ErrShape) {
		t.Errorf("twice: %v", err)
	}
	m.Baselines[0] = attest.Baseline{Reports: [][]byte{{1}}}
	if _, err := Sign(m, key(1)); !errors.Is(err, ErrShape) {
		t.Errorf("short report: %v", err)
	}
}

func TestDenied(t *testing.T) {
	v := &attest.Verdict{AKName: []byte("ak name"), Measured: map[string][]byte{"binary": sum("bad program")}}
	for name, c := range map[string]struct {
		deny  attest.Deny
		says  string
		older bool
	}{
		"nothing":             {deny: attest.Deny{Version: 2}},
		"older list":          {deny: attest.Deny{Version: 1}, older: true},
		"68 AK":               {deny: attest.Deny{Version: 2, AKNames: [][]byte{[]byte("ak name")}, Note: "stolen"}, says: "is denied: stolen"},
		"certificate":         {deny: attest.Deny{Version: 2, EKSerials: []string{"abc"}}, says: "certificate abc"},
		"manifest":            {deny: attest.Deny{Version: 2, Manifests: []uint64{3}}, says: "manifest 3"},
		"program":             {deny: attest.Deny{Version: 2, Binaries: [][]byte{sum("bad program")}}, says: "program"},
		"other things denied": {deny: attest.Deny{Version: 3, EKSerials: []string{"ab"}, Manifests: []uint64{2}, AKNames: [][]byte{{1}}}},
	} {
		m := good()
		m.Deny = c.deny
		says, err := Opened{Manifest: m}.Denied(v, attest.Policy{MinDeny: 2}, "abc", "def")
		if errors.Is(err, ErrRollback) != c.older || err != nil != c.older || !strings.Contains(says, c.says) || c.says == "" != (says == "") {
			t.Errorf("%s: %q, %v", name, says, err)
		}
	}
}

func TestJoin(t *testing.T) {
	a, b, both := sign(t, good(), key(1)), sign(t, good(), key(2)), sign(t, good(), key(1), key(2))
	got, err := Join(a, b, a)
	if err != nil || !bytes.Equal(got, both) {
		t.Fatalf("%x, %v", got, err)
	}
	if _, err := Open(got, policy(2, 1, 2)); err != nil {
		t.Fatal(err)
	}
	other := good()
	other.Note = "x"
	if _, err := Join(a, sign(t, other, key(2))); !errors.Is(err, ErrShape) {
		t.Errorf("different manifests: %v", err)
	}
	if _, err := Join([]byte("x")); !errors.Is(err, ErrShape) {
		t.Errorf("junk: %v", err)
	}
	if s, err := Signers(both); err != nil || len(s) != 2 {
		t.Errorf("%v, %v", s, err)
	}
}

func FuzzManifest(f *testing.F) {
	raw, err := Sign(fleet(), key(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m, err := Peek(raw); err == nil {
			Opened{Manifest: m}.Judge(machine("1", "kernel 1"))
		}
		if o, err := Open(raw, policy(1, 9)); err == nil {
			t.Fatalf("signed by nobody and opened: %+v", o)
		}
	})
}

// TestJobKeyAfterTheLog: a certified key is made when the log is closed already,
// which then says that there was none. One that is not certified must be in it.
func TestJobKeyAfterTheLog(t *testing.T) {
	o := Opened{Manifest: good()}
	o.Baselines = []attest.Baseline{{Name: "one", Events: []attest.Golden{{Name: "job-key", Bound: true}}}}
	for name, c := range map[string]struct {
		measured  string
		key       []byte
		certified bool
		good      bool
	}{
		"none":                            {"", nil, false, true},
		"measured":                        {"key", []byte("key"), false, true},
		"certified, not measured":         {"", []byte("key"), true, true},
		"certified, another one measured": {"other", []byte("key"), true, false},
		"neither":                         {"", []byte("key"), false, false},
		"another one measured":            {"other", []byte("key"), false, false},
	} {
		j := o.Judge(Measured{Type: "tpm2", Events: []eventlog.Event{event("job-key", c.measured)}, JobKey: c.key, Certified: c.certified})
		if j.OK() != c.good {
			t.Errorf("%s: %+v", name, j)
		}
	}
}

package screen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"cipherdeck/attest"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/app/demo"
	"cipherdeck/vault/project"
)

// hostile is a name as a malicious peer would choose it: it writes the
// clipboard, clears the screen, asks the terminal a question, leaves the
// alternate screen, turns text around and breaks the line.
const hostile = "a\x1b]52;c;aGk=\x07b\x1b[2J\x1b[6n\x1b[?1049l\u202eevil\nX\u009b31m"

func clock() time.Time { return time.Date(2026, 11, 21, 19, 7, 30, 0, time.UTC) }

// rig is a root without an App: data is given, commands are not run.
func rig(t *testing.T, w, h int, demoHook *DemoHook) *root {
	t.Helper()
	o := Options{Actions: action.All(), Demo: demoHook, Now: clock, Getenv: func(string) string { return "" }, NoColor: true}
	r := newRoot(context.Background(), o)
	r.Update(tea.WindowSizeMsg{Width: w, Height: h})
	return r
}

// unlocked is a rig with a vault that has everything in it.
func unlocked(t *testing.T, w, h int) *root {
	t.Helper()
	r := rig(t, w, h, nil)
	r.Update(surveyed{fullData()})
	r.Update(boardMoved{verdicts: verdicts(), runs: runs()})
	for i := range r.screens {
		p, ok := r.screens[i].(*projects)
		if !ok {
			continue
		}
		r.Update(opened{gen: p.gen, key: fullData().projects[0].ID.String(), detail: fullDetail()})
	}
	return r
}

func fullData() data {
	return data{known: true,
		facts: app.Facts{HasVault: true, Unlocked: true, Name: "alice", UID: "aliceuid", Servers: 3, Projects: 2},
		projects: []app.ProjectInfo{
			{Name: "breast-cancer", ID: id.Of([]byte("p1")), Server: "main", Seq: 7},
			{Name: hostile, ID: id.Of([]byte("p2")), Server: hostile, Seq: 2},
		},
		servers: []app.ServerInfo{
			{Name: "main", Addr: "127.0.0.1:40123", MinRoot: "software, demo", Signers: 1, Version: 1},
			{Name: "lab-2", Addr: "lab.example:443", MinRoot: "hardware TPM", Signers: 2},
			{Name: hostile, Addr: hostile, MinRoot: "vTPM"},
		},
		machines: machines(),
		people: []app.Person{
			{Name: "bob", UID: "bobuid234", Verified: true, Words: "atlas banjo cedar dune ember fable grove haiku"},
			{Name: hostile, UID: "eveuid567", Words: "iris jolt kite lemon maple nectar oasis pearl"},
		},
	}
}

func fullDetail() *detail {
	return &detail{ID: "p1", Name: "breast-cancer", Seq: 7, Epoch: 2, At: clock(),
		Items: []project.Item{
			{Kind: project.Dataset, Name: "wdbc.csv", Rows: 569, Size: 124_103, Held: []project.Held{{Born: 1}}},
			{Kind: project.Model, Name: "wdbc.onnx", Size: 1_412, Held: []project.Held{{Born: 1}}},
			{Kind: project.Artifact, Name: hostile, Size: 7_340_032, Held: []project.Held{{Born: 2}}},
		},
		Members: []member{
			{Name: "alice", UID: "aliceuid", Role: "owner", Me: true},
			{Name: "bob", UID: "bobuid234", Role: "reader"},
		},
		Notes: []note{
			{Warn: true, Text: "somebody outside may know the key", Command: "project rotate"},
			{Warn: true, Text: "3 made offline, not sent", Command: "project sync"},
			{Text: "journal not witnessed · 1 other sees the same"},
		},
		Grants: []grant{{Node: "node-1", UID: "nodeuid", Until: clock().Add(24 * time.Hour)}},
	}
}

// claims are the standing texts of a TPM verdict.
func claims() []attest.Link {
	l := func(id, claim, rule, not string) attest.Link {
		return attest.Link{ID: id, Claim: claim, Rule: rule, NotProven: not, State: attest.Pass, Found: "digest 9f2c…e1"}
	}
	return []attest.Link{
		l(attest.LinkEK, "A maker of TPMs certified the endorsement key.", "X.509 chain to a pinned root, TCG key usage, dates.", "That the maker built the TPM well, or that it is in this machine."),
		l(attest.LinkRoot, "What vouches is of the kind that you demand.", "Decided by the root that the chain ends in.", "That a TPM chip exists. Whoever controls the machine could forge all of this."),
		l(attest.LinkEnrol, "The attestation key lives in the TPM that was certified, and both are those seen first.", "Credential activation, at most 30 days ago.", "That the TPM is in the machine you believe it is in."),
		l(attest.LinkAK, "The attestation key signs only what its TPM wrote, and cannot leave it.", "Attributes equal 00050472; name recomputed.", "That a real TPM enforces these attributes: see root."),
		l(attest.LinkSignature, "The quote is signed by this key.", "Strict parse, TPM magic, signature.", "When it was signed: see quote.binding."),
		l(attest.LinkNonce, "The quote was made for this connection, now.", "Qualifying data equals our hash of nonce, TLS key and exporter.", "That the TPM is in the same machine as the TLS key."),
		l(attest.LinkPCR, "The register values shown are the ones quoted.", "One bank, exactly the PCRs asked for, digest recomputed.", "What the values mean: see the logs."),
		l(attest.LinkClock, "The TPM's own past goes on from the last verdict.", "Reset count, clock and firmware are compared.", "That nothing happened between two verdicts."),
		l(attest.LinkReplay, "The application log is the one that was measured.", "Each event's bytes are hashed into PCR 14 again.", "That the program which wrote the log told the truth."),
		l(attest.LinkFirmware, "The firmware's log is the one that was measured.", "Not given: each event is hashed into its register again.", "Event types, and text that no digest covers."),
		l(attest.LinkManifest, "The manifest is signed by people you accepted.", "Ed25519 signatures of the policy, at least its threshold.", "That the signers built or read the program."),
		l(attest.LinkValidity, "The manifest is for this product, current and not rolled back.", "Product, version, dates.", "That no newer manifest exists."),
		l(attest.LinkDeny, "Nothing here is on the manifest's deny list.", "Serials, AK name, version and program are looked up.", "That everything bad is on the list."),
		l(attest.LinkLogProof, "The manifest is in the server's journal, the same for everyone.", "Not given: inclusion proof to a signed checkpoint.", "That you were shown the same journal as others."),
		l(attest.LinkBoot, "Firmware, boot loader and kernel are those of one baseline.", "Each register that the baseline names.", "Anything about registers that the baseline does not name."),
		l(attest.LinkEvents, "Every event of the application log is one that the same baseline accepts, in its order.", "Names and digests are compared one by one.", "That a program is free of faults."),
	}
}

// verdict is a demo verdict that breaks at the link named, or holds.
func verdict(breaks, found string) *attest.Verdict {
	v := &attest.Verdict{Type: "tpm2", Root: attest.RootSoftware, Links: claims(), Subject: "127.0.0.1:40123", PCRs: registers()}
	broken := false
	for i := range v.Links {
		l := &v.Links[i]
		switch {
		case broken:
			l.State, l.Found = attest.NotChecked, "not checked: a link above is broken"
		case l.Rule[:4] == "Not ":
			l.State, l.Found = attest.NotChecked, "the machine gave none"
		case l.ID == attest.LinkRoot || l.ID == attest.LinkEK:
			l.State, l.Found = attest.Software, "a TPM in software: a demonstration"
		case l.ID == breaks:
			l.State, l.Found, broken = attest.Fail, found, true
		}
	}
	return v
}

// registers are two of a machine's, one of them not as it should be.
func registers() []attest.PCRRow {
	return []attest.PCRRow{
		{Index: 7, Meaning: "Secure Boot state and keys", Value: bytes.Repeat([]byte{7}, 32), State: attest.PCRMatches, Want: [][]byte{bytes.Repeat([]byte{7}, 32)}, Explained: true,
			Events: []attest.PCREvent{{Type: "EFI_VARIABLE_DRIVER_CONFIG", Text: "SecureBoot = 1", Covered: true}}},
		{Index: 11, Meaning: "unified kernel image, boot phases (systemd)", Value: bytes.Repeat([]byte{8}, 32), State: attest.PCRDiffers, Want: [][]byte{append(bytes.Repeat([]byte{8}, 31), 9)},
			Diff: "expected 0808…09, got 0808…08", Events: []attest.PCREvent{{Type: "IPL", Text: "cmdline " + hostile, First: true}}},
		{Index: 14, Meaning: "this server's own log", Value: bytes.Repeat([]byte{1}, 32), Explained: true},
	}
}

func machines() map[string]app.MachineInfo {
	art := []string{"+-----------------+"}
	for range 9 {
		art = append(art, "|    .oO=*        |")
	}
	return map[string]app.MachineInfo{"main": {
		Server: "main", Words: "atlas banjo cedar dune ember fable grove haiku", Digits: strings.TrimSpace(strings.Repeat("12345 ", 12)), Art: append(art, art[0]),
		Held: "PCR 11 changed under the same manifest",
		History: []app.History{
			{At: clock().Add(-48 * time.Hour), Word: "demo", Resets: 3, Version: 1, Note: "first seen; credential activated"},
			{At: clock().Add(-time.Hour), Word: "REFUSED", Broken: "log.events", Note: "event 0 " + hostile},
			{At: clock().Add(-3 * time.Minute), Word: "demo", Resets: 4, Version: 1, Changed: []uint8{11}, Note: "rebooted: reset count 4, was 3"},
		},
	}}
}

func verdicts() map[string]app.Judged {
	return map[string]app.Judged{
		"main":  {Server: "main", Verdict: verdict("", ""), At: clock().Add(-3 * time.Minute)},
		hostile: {Server: hostile, Err: errors.New("evidence: " + hostile), At: clock().Add(-2 * time.Hour)},
	}
}

// drifting is the board after a server was asked that is not as it was.
func drifting() map[string]app.Judged {
	m := verdicts()
	j := m["main"]
	j.At = clock()
	j.Took = []time.Duration{4100 * time.Microsecond, 3900 * time.Microsecond, 9 * time.Millisecond, 4 * time.Millisecond}
	j.Drift = app.Drift{Since: clock().Add(-24 * time.Hour), Lines: []string{
		"PCR 11 (unified kernel image, boot phases (systemd)): event 3: IPL cmdline console=ttyS0, was IPL cmdline quiet",
		"PCR 14 (this server's own log): event 1: config " + hostile + ", was config the configuration"}}
	m["main"] = j
	return m
}

// swapped is the board after another machine answered.
func swapped() map[string]app.Judged {
	m := verdicts()
	e := &app.IdentityError{Name: "lab-2", Was: attest.Identity{1, 2, 3}, Is: attest.Identity{4, 5, 6}, Since: clock().Add(-30 * 24 * time.Hour)}
	m["lab-2"] = app.Judged{Server: "lab-2", Verdict: verdict(attest.LinkEnrol, "another AK than the one seen first"), Err: fmt.Errorf("%w; %w", e, attest.ErrRefused), At: clock()}
	return m
}

// cheat is the board after a changed server was asked.
func cheat() map[string]app.Judged {
	v := verdict(attest.LinkEvents, "event 1 binary: expected 41d0c5aa90b2…77aa, got e3b0c44298fc…b855 "+hostile)
	m := verdicts()
	m["lab-2"] = app.Judged{Server: "lab-2", Verdict: v, Err: fmt.Errorf("%w: log.events", attest.ErrRefused), At: clock()}
	return m
}

func aPlan() *fhe.Plan {
	return &fhe.Plan{
		Core:     fhe.Core{Features: 30, Levels: 1, Params: fhe.Params{LogN: 11}, Final: fhe.FinalSigmoid},
		Forecast: fhe.Forecast{Rows: 143, Canaries: 64, Batches: 1, LogQP: 53.9, LogQPBound: 54, BoundSource: "HomomorphicEncryption.org standard 2018, ternary secret", BytesUp: 846_000, BytesDown: 29_000, Seconds: 0.04, MaxError: 2.1e-3},
	}
}

func runs() []app.RunRecord {
	spec := app.RunSpec{Model: "wdbc.onnx", Data: "wdbc.csv", Label: "malignant"}
	start := clock().Add(-time.Minute)
	done := &app.Outcome{Node: "nodeuid234567", Rows: 143, AUC: 0.99624, AUCClear: 0.99624, BaseRate: 0.3706, HasTruth: true, MaxError: 4.4e-4, ErrorBound: 2.1e-3,
		Canaries: 64, Caught: app.Caught{One: 0.474, Five: 0.962, Twenty: 0.9999994, All: 1}, BytesUp: 846_000, BytesDown: 29_000, RowsPerSec: 2210, Engine: "lattigo v5.0.7",
		Seconds: app.Times{Encrypt: 0.02, Compute: 0.03, Decrypt: 0.01, Total: 0.06}}
	many := *done
	many.Replicated, many.Rows, many.RowsPerSec = true, 20020, 281_456
	return []app.RunRecord{
		{Number: 1, Project: "breast-cancer", Spec: spec, Plan: aPlan(), State: app.RunDone, Started: start, Ended: start.Add(60 * time.Millisecond), Outcome: done},
		{Number: 2, Project: "breast-cancer", Spec: spec, Plan: aPlan(), State: app.RunDone, Started: start, Ended: start.Add(80 * time.Millisecond), Outcome: &many},
		{Number: 3, Project: hostile, Spec: app.RunSpec{Model: hostile, Data: hostile}, Plan: aPlan(), State: app.RunRejected, Started: start, Ended: start.Add(time.Second), Outcome: done, Err: fmt.Errorf("batch 0: %w "+hostile, fhe.ErrCanary)},
		{Number: 4, Project: "breast-cancer", Spec: spec, Plan: aPlan(), State: app.RunWorking, Started: start, Phase: "encrypt and send", Unit: progress.Rows, Done: 12_613, Total: 20_020, Since: clock().Add(-2 * time.Second)},
	}
}

// hook is a demonstration in which nothing is done.
func hook() *DemoHook {
	return &DemoHook{Home: "/tmp/cipherdeck-demo", Acts: demo.Acts(), Perform: func(context.Context, demo.Act, progress.Sink) (*demo.Report, error) { return nil, nil }}
}

func actReport() *demo.Report {
	return &demo.Report{Act: 3, Title: "Attest", OK: true, Took: 1234 * time.Millisecond, Lines: []demo.Line{
		{Mark: demo.Good, Text: "9 of 13 links hold; 4 are not built in this release and say so"},
		{Mark: demo.Info, Text: "connect to verdict 4.1 ms"},
		{Mark: demo.Caught, Text: "an old quote was replayed and refused: binding mismatch"},
		{Mark: demo.Bad, Text: hostile},
	}}
}

// cheatReport is longer than a small terminal.
func cheatReport() *demo.Report {
	sum := "41d0c5aa90b277aa41d0c5aa90b277aa41d0c5aa90b277aa41d0c5aa90b277aa"
	return &demo.Report{Act: 5, Title: "Two cheats", OK: true, Took: 3210 * time.Millisecond, Lines: []demo.Line{
		{Mark: demo.Good, Text: "a really different server: a copy of the program that says \"cipherdeck 6.6.6-bad\""},
		{Mark: demo.Caught, Text: "FAIL log.events: event 1 \"binary\": expected " + sum + ", got " + sum},
		{Mark: demo.Caught, Text: "a run on it does not start"},
		{Mark: demo.Caught, Text: "0 payload bytes were sent"},
		{Mark: demo.Info, Text: "the operator keeps logins alive for a day instead of 900 s"},
		{Mark: demo.Caught, Text: "FAIL log.events: event 2 \"config\": expected " + sum + ", got " + sum},
		{Mark: demo.Caught, Text: "a run on it does not start"},
		{Mark: demo.Info, Text: "a software TPM obeys its host: a host that lies on purpose could forge all of this"},
		{Mark: demo.Good, Text: "the cheat moves every logit by at least 0.32, 150 times the error bound"},
		{Mark: demo.Caught, Text: "REJECTED: the node signed a wrong answer and the hidden canaries show it"},
		{Mark: demo.Good, Text: "detection probability of this cheat 1.000000 with 64 canaries"},
	}}
}

// keys presses keys by name.
func keys(r *root, names ...string) {
	for _, n := range names {
		r.Update(keyMsg(n))
	}
}

func keyMsg(n string) tea.KeyMsg {
	switch n {
	case "enter":
		return tea.KeyMsg{Type: tea.KeyEnter}
	case "tab":
		return tea.KeyMsg{Type: tea.KeyTab}
	case "esc":
		return tea.KeyMsg{Type: tea.KeyEsc}
	case "right":
		return tea.KeyMsg{Type: tea.KeyRight}
	case "ctrl+n":
		return tea.KeyMsg{Type: tea.KeyCtrlN}
	case "ctrl+c":
		return tea.KeyMsg{Type: tea.KeyCtrlC}
	case "ctrl+l":
		return tea.KeyMsg{Type: tea.KeyCtrlL}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(n)}
}

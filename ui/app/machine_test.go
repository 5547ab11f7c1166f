package app

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/id"
	"cipherdeck/vault"
)

// proved is a good verdict about a machine.
func proved() *attest.Verdict {
	v := &attest.Verdict{Type: "tpm2", Root: attest.RootSoftware, Version: 3, Deny: 1, Baseline: "one", Manifest: id.Of([]byte("m3")),
		AKName: []byte("ak"), EK: []byte("ek"), Boot: attest.Boot{ResetCount: 5, Clock: 100, Safe: true},
		PCRs: []attest.PCRRow{{Index: 7, Value: []byte{7}}, {Index: 14, Value: []byte{14}}}}
	for _, l := range []string{attest.LinkRoot, attest.LinkAK, attest.LinkSignature, attest.LinkNonce, attest.LinkPCR, attest.LinkReplay, attest.LinkManifest, attest.LinkValidity, attest.LinkDeny, attest.LinkBoot, attest.LinkEvents} {
		v.Links = append(v.Links, attest.Link{ID: l, State: attest.Pass})
	}
	return v
}

// TestLearn: what is new is written down, what should not have changed
// suspends jobs, and what was signed does not.
func TestLearn(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	script := &channel.Transcript{Enrolled: &attest.Enrolment{AKName: []byte("ak"), At: now.Unix()}}
	known, keep := learn(vault.Pinned{}, proved(), script, now)
	if !keep || string(known.AKName) != "ak" || string(known.Machine.EK) != "ek" || known.Version != 3 || known.Machine.Held != "" ||
		known.Machine.History[0].Note != "first seen; credential activated" || known.Machine.Enrolled == nil {
		t.Fatalf("first: %+v", known)
	}
	if _, keep := learn(known, proved(), script, now.Add(time.Minute)); keep {
		t.Error("nothing is new, and it is written down")
	}
	if _, keep := learn(known, proved(), script, now.Add(2*time.Hour)); !keep {
		t.Error("a verdict an hour later leaves no trace")
	}
	for name, c := range map[string]struct {
		change     func(*attest.Verdict)
		held, note string
	}{
		"rebooted":       {func(v *attest.Verdict) { v.Boot.ResetCount = 6 }, "", "rebooted: reset count 6, was 5"},
		"firmware":       {func(v *attest.Verdict) { v.Boot.Firmware = 9 }, "", "TPM firmware 9, was 0"},
		"updated":        {func(v *attest.Verdict) { v.Version, v.Manifest, v.PCRs[1].Value = 4, id.Of([]byte("m4")), []byte{15} }, "", "manifest 4, was 3; PCR 14 changed"},
		"other baseline": {func(v *attest.Verdict) { v.Baseline, v.PCRs[0].Value = "two", []byte{8} }, "", `baseline "two", was "one"`},
		"register":       {func(v *attest.Verdict) { v.PCRs[0].Value = []byte{8} }, "PCR 7 changed under the same manifest", "PCR 7 changed; jobs are suspended"},
		"67 fork":        {func(v *attest.Verdict) { v.Manifest = id.Of([]byte("other")) }, "another manifest of version 3", "jobs are suspended"},
		"refused": {func(v *attest.Verdict) {
			v.Links[3] = attest.Link{ID: attest.LinkNonce, State: attest.Fail, Found: "mismatch"}
		}, "quote.binding broke: mismatch", "mismatch"},
	} {
		v := proved()
		c.change(v)
		got, keep := learn(known, v, script, now.Add(time.Minute))
		last := got.Machine.History[len(got.Machine.History)-1]
		if !keep || !strings.Contains(last.Note, c.note) || (c.held == "") != (got.Machine.Held == "") || !strings.Contains(got.Machine.Held, c.held) {
			t.Errorf("%s: keep %v, held %q, note %q", name, keep, got.Machine.Held, last.Note)
		}
		if !v.OK() && (got.Version != known.Version || got.Machine.Boot.ResetCount != 5) {
			t.Errorf("%s: a refused verdict moved what is known", name)
		}
	}
	// A machine that was never good is refused without suspending anything.
	v := proved()
	v.Links[3].State = attest.Fail
	if got, _ := learn(vault.Pinned{}, v, nil, now); got.Machine.Held != "" || len(got.AKName) != 0 {
		t.Errorf("never good: %+v", got)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s, now := vault.Pinned{}, time.Unix(0, 0)
	for i := range vault.MaxHistory + 20 {
		v := proved()
		v.Boot.ResetCount = uint32(i)
		s, _ = learn(s, v, nil, now.Add(time.Duration(i)*time.Second))
	}
	if n := len(s.Machine.History); n != vault.MaxHistory || s.Machine.History[n-1].Resets != vault.MaxHistory+19 {
		t.Fatalf("%d entries, last %+v", n, s.Machine.History[n-1])
	}
}

// TestArtIsOpenSSH draws a host key's hash as ssh-keygen does.
func TestArtIsOpenSSH(t *testing.T) {
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: ssh-keygen is not installed (package openssh-client)")
	}
	key := t.TempDir() + "/key"
	if out, err := exec.Command(path, "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pub, err := exec.Command("sh", "-c", "cut -d' ' -f2 "+key+".pub | base64 -d | sha256sum | cut -c1-64").Output()
	if err != nil {
		t.Fatal(err)
	}
	var f attest.Identity
	for i := range f {
		var b byte
		for _, c := range pub[2*i : 2*i+2] {
			b = b<<4 | byte(strings.IndexByte("0123456789abcdef", c))
		}
		f[i] = b
	}
	out, err := exec.Command(path, "-lv", "-f", key+".pub").Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Split(strings.TrimSpace(string(out)), "\n")
	ours := Art(f)
	for i := 1; i <= artHigh; i++ { // the frames have titles
		if theirs[1+i] != ours[i] {
			t.Fatalf("line %d: %q, want %q\n%s", i, ours[i], theirs[1+i], out)
		}
	}
}

func TestIdentityFaces(t *testing.T) {
	a := IdentityOf([]byte("ek"), []byte("ak"), [][]byte{{2}, {1}})
	if a != IdentityOf([]byte("ek"), []byte("ak"), [][]byte{{1}, {2}}) {
		t.Error("the order of signers is part of the identity")
	}
	for name, b := range map[string]attest.Identity{
		"EK": IdentityOf([]byte("ex"), []byte("ak"), [][]byte{{1}, {2}}), "AK": IdentityOf([]byte("ek"), []byte("ax"), [][]byte{{1}, {2}}),
		"signers": IdentityOf([]byte("ek"), []byte("ak"), [][]byte{{1}}), "border": IdentityOf([]byte("eka"), []byte("k"), [][]byte{{1}, {2}}),
	} {
		if a == b {
			t.Errorf("another %s is the same identity", name)
		}
	}
	if !regexp.MustCompile(`^(\d{5} ){11}\d{5}$`).MatchString(Digits(a)) || len(strings.Fields(Words(a))) != 8 {
		t.Errorf("%q %q", Digits(a), Words(a))
	}
	if bytes.Equal([]byte(Digits(a)), []byte(Digits(IdentityOf([]byte("x"), nil, nil)))) {
		t.Error("digits do not depend on the identity")
	}
}

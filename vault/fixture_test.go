package vault

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// A file as its version first wrote it, with a rotation begun, opens by every
// kind of secret that needs no device, and the rotation goes on. If this test has
// to change for a version, the version has to.
func TestVersionsAreFrozen(t *testing.T) {
	for name, want := range map[string]State{"v2.vault": sampleV2(), "v3.vault": sample()} {
		t.Run(name, func(t *testing.T) { testFrozen(t, name, want) })
	}
}

func testFrozen(t *testing.T, name string, want State) {
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir(t), "vault")
	put(t, path, raw)
	code := []byte("B3VE-W27J-MBC2-VFJ6-9ZTV-AP3V-TQ4P")
	shares := Shares("AGTA-G5HH-2BCU-UP5L-42MC-DKBG-NGSN-ZCIN-UYBA-GAKF-BNFF-OAVP-6DCJ-TKHP-2WNO-SYLA-FKO3-MPZS-LJL6-C6KZ-ZHM4-VVYK-BUHZ-ALZL",
		"AGTA-G5HH-2BCU-UP5L-42MC-DKBG-NGSN-ZCIN-UYBA-GAZL-T2ZY-52YA-HIKX-26WX-KGYI-MAFL-YDGN-GPAF-MQIS-2XJH-WQVV-XJAU-2X5T-6Q7L")
	k := &ring{unhex(t, "a2da986c483e6c2863ad44ce12adefb961ab06266fe4183ffd5c7ce4cc3511f3")}
	both := KeyringAndPassphrase(k, pass)
	for name, u := range map[string]Unlocker{"passphrase": Passphrase(pass), "code": Recovery(code), "shares": shares, "both": both} {
		if got := open(t, path, u).copyOf(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	v := open(t, path, both)
	if r, begun := v.Rotating(); !begun || len(r.Left) != 3 {
		t.Fatalf("%+v %v", r, begun)
	}
	if r, err := v.RotateKey(t.Context(), nil, Recovery(code), Passphrase(pass), shares, both); err != nil || !r.Done {
		t.Fatalf("%+v %v", r, err)
	}
	open(t, path, shares)
	if kept, err := os.ReadFile(path); err != nil || kept[9] != version {
		t.Fatalf("version %d, %v", kept[9], err)
	}
	if got := names(t, filepath.Dir(path)); got != "vault vault.lock" { // a rotation keeps no copy of any version
		t.Fatalf("files: %s", got)
	}
}

// sampleV4 is sample() with all that version 4 brought.
func sampleV4() State {
	st := sample()
	st.Account.Links, st.Account.XWing = [][]byte{[]byte("l1"), []byte("l2")}, []byte("x")
	st.Account.Former = []FormerKeys{{RSA: []byte("old der"), XWing: []byte("old x")}}
	p := st.People["u1"]
	p.Links, p.Hints = [][]byte{[]byte("l")}, []string{"ssh-ed25519 SHA256:…"}
	st.People["u1"] = p
	srv := st.Servers["lab"]
	srv.Log = ServerLog{Key: "k", Size: 3, Root: id.Of(nil), Watched: tlog.Frontier{Size: 1, Nodes: []id.ID{id.Of([]byte{1})}}, Promises: [][]byte{[]byte("p")}, Witnesses: []string{"w"}, Need: 1}
	st.Servers["lab"] = srv
	prj := st.Projects["p1"]
	prj.State, prj.Invites = id.Of([]byte{2}), map[string]Invite{"00": {Secret: [16]byte{3}, Role: 4, Expires: 5}}
	st.Projects["p1"] = prj
	return st
}

// A file of version 4 with every field of it opens as it was written. If this
// test has to change, the version has to.
func TestVersion4IsFrozen(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "v4.vault"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir(t), "vault")
	put(t, path, raw)
	if got := open(t, path, Passphrase(pass)).copyOf(t); !reflect.DeepEqual(got, sampleV4()) {
		t.Errorf("%+v", got)
	}
}

var update = flag.Bool("update", false, "write testdata/v4-machine.vault and v4-node.vault again: only for a new version of the format")

// sampleMachine is a server's machine with every field.
func sampleMachine() Machine {
	value := bytes.Repeat([]byte{7}, 32)
	return Machine{
		EK:       []byte("spki"),
		Enrolled: &attest.Enrolment{EK: id.Of([]byte("ek")), AKName: []byte{0, 11, 3}, At: 5},
		Boot:     &attest.Boot{ResetCount: 6, RestartCount: 1, Clock: 12345, Firmware: 0x20191023, Safe: true},
		PCRs:     []attest.PCRValue{{Index: 7, Value: value}, {Index: 14, Value: value}},
		Deny:     3, Manifest: id.Of([]byte("manifest")), Baseline: "kernel 6.12",
		Roots:   []attest.Root{{Name: "lab", Kind: attest.RootVTPM, Cert: []byte("der"), Added: true}},
		History: []Judged{{At: 5, Word: "REFUSED", Broken: attest.LinkEnrol, Resets: 6, Version: 5, Changed: []uint8{7, 14}, Note: "first seen"}},
		Held:    "PCR 7 changed",
		Good:    &GoodState{At: 4, Registers: []Register{{Index: 7, Value: value, Cut: true, Events: []Event{}}, {Index: 14, Value: value, Events: []Event{{Type: "application", Text: "binary", Digest: value}}}}},
		Quiet:   map[int64]Quiet{5: {Times: 2, Last: 9}},
	}
}

// withMachine is sampleV4() with what a server proved.
func withMachine() State {
	st := sampleV4()
	srv := st.Servers["lab"]
	srv.Machine = sampleMachine()
	st.Servers["lab"] = srv
	return st
}

// A vault with a machine opens with all that was pinned: a pin that is lost in
// reading would be taken anew from whoever answers. If this test has to change,
// the version has to.
func TestMachineIsFrozen(t *testing.T) {
	testMachines(t, "v4-machine.vault", withMachine())
	// These are the bytes of before nodes were known.
	raw, err := doc.Encode(withMachine())
	if sum := id.Of(raw); err != nil || hex.EncodeToString(sum[:]) != "5077cd8aa3441b1af5a5f49433d0d311089d6f929f8c9dcbd7e92156b332bb3b" {
		t.Errorf("%d bytes, %x, %v", len(raw), sum[:], err)
	}
}

// The same of a vault with nodes.
func TestNodesAreFrozen(t *testing.T) {
	want := withMachine()
	m := sampleMachine()
	m.JobKey = []byte("point")
	want.Nodes["n1"] = Node{Name: "worker", Project: "p1", Added: 7,
		Pinned: Pinned{Product: "cipherdeck", Signers: [][]byte{{1}, {2}}, Threshold: 2, MinRoot: 1, Version: 5, AKName: []byte{3}, Machine: m}}
	testMachines(t, "v4-node.vault", want)
}

func testMachines(t *testing.T, name string, want State) {
	frozen := filepath.Join("testdata", name)
	path := filepath.Join(dir(t), "vault")
	if *update {
		create(t, path, want, PassphraseSlot(pass, cheap()))
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(frozen, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(frozen)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, raw)
	v := open(t, path, Passphrase(pass))
	if got := v.copyOf(t); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	// A change of something else keeps the machines.
	if err := v.Update(func(s *State) error { s.Account.Name = "al"; return nil }); err != nil {
		t.Fatal(err)
	}
	want.Account.Name = "al"
	if got := open(t, path, Passphrase(pass)).copyOf(t); !reflect.DeepEqual(got, want) {
		t.Errorf("after a save: %+v", got)
	}
}

// Vaults of before machines were known have none, and get one with the first
// save that brings it.
func TestOlderVaultsHaveNoMachine(t *testing.T) {
	for _, name := range []string{"v1.vault", "v2.vault", "v3.vault", "v4.vault"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir(t), "vault")
		put(t, path, raw)
		v := open(t, path, Passphrase(pass))
		if m := v.copyOf(t).Servers["lab"].Machine; !reflect.DeepEqual(m, Machine{}) {
			t.Errorf("%s: %+v", name, m)
		}
		err = v.Update(func(s *State) error {
			srv := s.Servers["lab"]
			srv.Machine = sampleMachine()
			s.Servers["lab"] = srv
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if m := open(t, path, Passphrase(pass)).copyOf(t).Servers["lab"].Machine; !reflect.DeepEqual(m, sampleMachine()) {
			t.Errorf("%s, saved: %+v", name, m)
		}
	}
}

// The expected values are computed by Python's hmac: HKDF (RFC 5869) of the 26
// values (7i+3) mod 32 with the salt 00 01 … 0f.
func TestRecoveryVector(t *testing.T) {
	var salt [16]byte
	want := make([]byte, codeLetters)
	for i := range want {
		want[i] = byte(i*7+3) % 32
	}
	for i := range salt {
		salt[i] = byte(i)
	}
	code := []byte("3AHR-Z6DM-V29G-QY5C-KT18-FPX4-BJA2")
	if got, err := parseCode(code); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%v %v", got, err)
	}
	secret, err := recoverySecret(code, salt)
	if err != nil || hex.EncodeToString(secret) != "9c8b0c5e903e36b7f3d6db149417ecedbb70026a8a9ca3ddc2872ed5530ebe5a" {
		t.Fatalf("%x %v", secret, err)
	}
}

// A process that rotates is killed at any point: the file opens with the same
// secret, in the state of before or after, and the rotation can be done again.
func TestKilledWhileRotating(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k := fileRing{path + ".ring"}
	create(t, path, State{}, KeyringSlot(k), KeyringSlot(&ring{}))
	for i := range 12 {
		cmd, lines := startChild(t, rotating, path)
		for range i % 5 {
			if !lines.Scan() {
				t.Fatal("the child ended by itself")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
		}
		cmd.Wait()
		open(t, path, FromKeyring(k)).Close()
	}
	v := open(t, path, FromKeyring(k))
	if r, begun := v.Rotating(); begun && len(r.Left) != 1 {
		t.Fatalf("%+v", r)
	}
	if r, err := v.RotateKey(t.Context(), nil, FromKeyring(k)); err != nil || len(r.Left) > 1 {
		t.Fatalf("%+v %v", r, err)
	}
}

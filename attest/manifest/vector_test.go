package manifest

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/crypto/id"
)

// vector is what another implementation needs to check itself: the keys are
// Ed25519 seeds, the rest is hexadecimal.
type vector struct {
	Seeds  []string `json:"seeds"`
	Signed string   `json:"signed"`
	Digest string   `json:"digest"`
}

// full is a manifest with every field that a person can set.
func full() attest.Manifest {
	m := fleet()
	m.Note = "two states"
	m.Previous = id.ID(sum("previous"))
	m.Deny = attest.Deny{Version: 2, EKSerials: []string{"0a"}, AKNames: [][]byte{[]byte("ak name")}, Manifests: []uint64{1},
		Binaries: [][]byte{sum("bad program")}, Floors: []attest.Floor{{Type: "snp", TCB: 7}}, Note: "a fault"}
	m.Build = attest.Build{Binary: sum("1"), Go: "go1.26.8", Flags: []string{"-trimpath"}, Modules: id.ID(sum("go.sum")), Commit: "0123"}
	m.Models = []id.ID{id.ID(sum("model"))}
	m.Baselines = append(m.Baselines, attest.Baseline{Name: "snp", Reports: [][]byte{make([]byte, 48)}})
	return m
}

// The bytes of version 2 do not change any more.
func TestVersion2Vector(t *testing.T) {
	const file = "testdata/manifest-v2.json"
	raw := sign(t, full(), key(1), key(2))
	digest := id.Of(raw)
	got := vector{Signed: hex.EncodeToString(raw), Digest: hex.EncodeToString(digest[:])}
	for _, b := range []byte{1, 2} {
		got.Seeds = append(got.Seeds, hex.EncodeToString(key(b).Seed()))
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; these bytes would be:\n%s", err, text)
	}
	if string(want) != string(text)+"\n" {
		t.Errorf("another encoding than the frozen one:\n%s", text)
	}
	if o, err := Open(raw, policy(2, 1, 2)); err != nil || o.Digest != digest || len(o.Baselines) != 3 {
		t.Errorf("the frozen manifest does not open: %+v, %v", o, err)
	}
}

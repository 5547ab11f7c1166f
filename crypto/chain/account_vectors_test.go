package chain

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
)

var writeVectors = flag.Bool("write-vectors", false, "write testdata/account.json anew; it is frozen, so only for a new format")

// accountVector is an account with a link of every kind. Seeds are 32 times the
// byte that is named; signatures by an RSA key have a random salt.
type accountVector struct {
	About    string   `json:"about"`
	Seeds    []string `json:"seeds"`
	UID      string   `json:"uid"`
	Genesis  string   `json:"genesis"`
	Request  string   `json:"request"` // of the second device; it is in the link of kind device too
	Links    []string `json:"links"`
	Kinds    []string `json:"kinds"`
	Head     string   `json:"head"`
	Valid    []string `json:"valid_devices"`
	Revoked  []string `json:"revoked_devices"`
	RSAKeyID string   `json:"rsa_key_id"`
}

const vectorFile = "testdata/account.json"

// TestAccountVector holds the format of account chains to bytes that were written
// once: they must stay readable for ever, and mean the same.
func TestAccountVector(t *testing.T) {
	if *writeVectors {
		makeAccountVector(t)
	}
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v accountVector
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var links [][]byte
	for _, l := range v.Links {
		links = append(links, unhex(t, l))
	}
	a, err := OpenAccountChain(unhex(t, v.Genesis), links)
	if err != nil {
		t.Fatal(err)
	}
	if a.UID.String() != v.UID || a.Head.String() != v.Head || a.Rotations != 1 {
		t.Errorf("uid %s head %s rotations %d", a.UID, a.Head, a.Rotations)
	}
	if k, err := doc.KeyIDOf(a.RSA); err != nil || k.String() != v.RSAKeyID {
		t.Errorf("rsa key %s", k)
	}
	events, err := a.Events(0)
	if err != nil || len(events) != len(v.Kinds) {
		t.Fatalf("%v %+v", err, events)
	}
	for i, e := range events {
		if e.Kind != v.Kinds[i] {
			t.Errorf("link %d is %s, want %s", i+1, e.Kind, v.Kinds[i])
		}
	}
	for _, d := range a.Devices {
		list := v.Valid
		if d.Revoked != 0 {
			list = v.Revoked
		}
		if len(list) != 1 || list[0] != d.ID.String() {
			t.Errorf("device %s revoked by %d: %v", d.ID, d.Revoked, list)
		}
	}
	// What follows from seeds alone is made again, to the same bytes.
	second := vectorKey(t, 3)
	req, err := NewRequest(a.UID, "laptop", second, vectorXWing(t, 3))
	if err != nil || !bytes.Equal(req, unhex(t, v.Request)) {
		t.Errorf("the request comes out otherwise: %v", err)
	}
	if d, u, err := OpenRequest(unhex(t, v.Request)); err != nil || u != a.UID || d.Name != "laptop" {
		t.Errorf("%v %+v", err, d)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectorSeed(b byte) (s keys.Seed) {
	for i := range s {
		s[i] = b
	}
	return s
}

func vectorKey(t *testing.T, b byte) Key {
	t.Helper()
	ed, err := keys.Ed25519(vectorSeed(b))
	if err != nil {
		t.Fatal(err)
	}
	pq, err := keys.MLDSA(vectorSeed(b))
	if err != nil {
		t.Fatal(err)
	}
	return Key{Sign: ed, PQ: pq}
}

func vectorXWing(t *testing.T, b byte) []byte {
	t.Helper()
	k, err := keys.XWing(vectorSeed(b))
	if err != nil {
		t.Fatal(err)
	}
	return k.PublicKey().Bytes()
}

func vectorRSA(t *testing.T, b byte) *rsa.PrivateKey {
	t.Helper()
	k, err := keys.RSA(t.Context(), vectorSeed(b), 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func makeAccountVector(t *testing.T) {
	root, fresh := vectorRSA(t, 1), vectorRSA(t, 4)
	first, second := vectorKey(t, 2), vectorKey(t, 3)
	a := must(NewAccount(Person, "alice", 1767225600000, root, first.Sign, vectorXWing(t, 2)))
	v := accountVector{About: "account chain, version 1; seeds of 32 equal bytes: root, first device, laptop, RSA and X-Wing keys after the rotation",
		Seeds: []string{"01", "02", "03", "04"}, UID: a.UID.String(), Genesis: hex.EncodeToString(a.Raw), Kinds: []string{AccountPQ, AccountDevice, AccountRevoke, AccountRotate}}
	req := must(NewRequest(a.UID, "laptop", second, vectorXWing(t, 3)))
	v.Request = hex.EncodeToString(req)
	one, two := Author{Root: root, Device: first}, Author{Root: root, Device: second}
	a = must(a.GivePQ(one, 1767225601000))
	a = must(a.AddDevice(one, req, 1767225602000))
	a = must(a.RevokeDevice(two, a.Devices[0].ID, 1767225603000))
	a = must(a.Rotate(two, fresh, vectorXWing(t, 4), 1767225604000))
	for _, l := range a.Links {
		v.Links = append(v.Links, hex.EncodeToString(l))
	}
	v.Head, v.RSAKeyID = a.Head.String(), must(doc.KeyIDOf(a.RSA)).String()
	v.Revoked, v.Valid = []string{a.Devices[0].ID.String()}, []string{a.Devices[1].ID.String()}
	enc := must(json.MarshalIndent(v, "", "  "))
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(enc, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

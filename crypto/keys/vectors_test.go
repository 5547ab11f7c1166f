package keys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"os"
	"testing"

	"filippo.io/keygen"

	"cipherdeck/crypto/vectors"
)

// The generator that RSA stands on reproduces the published keys of
// c2sp.org/det-keygen. Those of 8192 bits are tried by make rsa8192.
func TestDetKeygenVectors(t *testing.T) {
	testDetKeygen(t, func(bits int) bool { return bits < 8192 })
}

func TestDetKeygenVectors8192(t *testing.T) {
	if os.Getenv("CIPHERDECK_RSA8192") == "" {
		t.Skip("SKIPPED, NOT TESTED: the vector of 8192 bits (run make rsa8192)")
	}
	testDetKeygen(t, func(bits int) bool { return bits == 8192 })
}

func testDetKeygen(t *testing.T, these func(bits int) bool) {
	var all []struct {
		Bits int    `json:"bits"`
		Seed []byte `json:"seed"`
		Key  []byte `json:"private_key_pkcs8"`
	}
	if err := json.Unmarshal(vectors.File(t, "c2sp/det-keygen-rsa.json.gz"), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 21 {
		t.Errorf("%d vectors, want 21", len(all))
	}
	tried := 0
	for i, v := range all {
		if !these(v.Bits) {
			continue
		}
		tried++
		got, err := keygen.RSA(v.Bits, v.Seed)
		if err != nil {
			t.Errorf("vector %d: %v", i, err)
			continue
		}
		want, err := x509.ParsePKCS8PrivateKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(want.(*rsa.PrivateKey)) {
			t.Errorf("vector %d (%d bits): another key", i, v.Bits)
		}
	}
	if tried == 0 {
		t.Error("no vector was tried")
	}
}

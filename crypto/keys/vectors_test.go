package keys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"testing"

	"filippo.io/keygen"

	"cipherdeck/crypto/vectors"
)

// The generator that RSA stands on reproduces the published keys of
// c2sp.org/det-keygen, the 8192-bit one too: its seed is a lucky one.
func TestDetKeygenVectors(t *testing.T) {
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
	for i, v := range all {
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
}

package keys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/keygen"
)

// vectorFile finds ../shared/vectors/name beside the repository.
func vectorFile(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "..", "shared", "vectors", name))
	if err != nil {
		t.Skipf("SKIPPED, PUBLIC TEST VECTORS ARE MISSING: %v", err)
	}
	return b
}

// The generator that RSA stands on reproduces the published keys of
// c2sp.org/det-keygen, the 8192-bit one too: its seed is a lucky one.
func TestDetKeygenVectors(t *testing.T) {
	var vectors []struct {
		Bits int    `json:"bits"`
		Seed []byte `json:"seed"`
		Key  []byte `json:"private_key_pkcs8"`
	}
	if err := json.Unmarshal(vectorFile(t, "c2sp/det-keygen-rsa.json"), &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 21 {
		t.Errorf("%d vectors, want 21", len(vectors))
	}
	for i, v := range vectors {
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

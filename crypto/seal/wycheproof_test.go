package seal

import (
	"bytes"
	"compress/gzip"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// wycheproof reads a set of test groups from ../shared/vectors beside the
// repository.
func wycheproof(t *testing.T, name string, groups any) {
	t.Helper()
	root := ".."
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		root = filepath.Join(root, "..")
	}
	f, err := os.Open(filepath.Join(root, "..", "shared", "vectors", "wycheproof", name+"_test.json.gz"))
	if err != nil {
		t.Skipf("SKIPPED, PUBLIC TEST VECTORS ARE MISSING: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&struct {
		Groups any `json:"testGroups"`
	}{groups}); err != nil {
		t.Fatal(err)
	}
}

// AES-256-GCM as facts and wrapped keys use it.
func TestWycheproofGCM(t *testing.T) {
	var groups []struct {
		IVSize  int `json:"ivSize"`
		KeySize int `json:"keySize"`
		Tests   []struct {
			ID                         int `json:"tcId"`
			Key, IV, AAD, Msg, CT, Tag hexBytes
			Result                     string
		}
	}
	wycheproof(t, "aes_gcm", &groups)
	n := 0
	for _, g := range groups {
		if g.IVSize != 96 || g.KeySize != 256 {
			continue
		}
		for _, c := range g.Tests {
			n++
			a, err := newGCM(c.Key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Open(nil, c.IV, append(bytes.Clone(c.CT), c.Tag...), c.AAD)
			if (err == nil) != (c.Result == "valid") || err == nil && !bytes.Equal(got, c.Msg) {
				t.Errorf("%d: %v, want %s", c.ID, err, c.Result)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d tests, want at least 50", n)
	}
}

// RSA-OAEP with SHA-256 as stanzas use it.
func TestWycheproofOAEP(t *testing.T) {
	for _, name := range []string{"rsa_oaep_2048_sha256_mgf1sha256", "rsa_oaep_3072_sha256_mgf1sha256", "rsa_oaep_4096_sha256_mgf1sha256"} {
		var groups []struct {
			Key   hexBytes `json:"privateKeyPkcs8"`
			Tests []struct {
				ID             int `json:"tcId"`
				Msg, CT, Label hexBytes
				Result         string
			}
		}
		wycheproof(t, name, &groups)
		n := 0
		for _, g := range groups {
			k, err := x509.ParsePKCS8PrivateKey(g.Key)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range g.Tests {
				n++
				got, err := rsa.DecryptOAEP(sha256.New(), nil, k.(*rsa.PrivateKey), c.CT, c.Label)
				if (err == nil) != (c.Result == "valid") || err == nil && !bytes.Equal(got, c.Msg) {
					t.Errorf("%s %d: %v, want %s", name, c.ID, err, c.Result)
				}
			}
		}
		if n < 30 {
			t.Errorf("%s: %d tests, want at least 30", name, n)
		}
	}
}

package cbchmac

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
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

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.AppendDecode(nil, b)
	return err
}

// PKCS#7 padding as chunks use it.
func TestWycheproofPadding(t *testing.T) {
	var groups []struct {
		KeySize int `json:"keySize"`
		Tests   []struct {
			ID               int `json:"tcId"`
			Key, IV, Msg, CT hexBytes
			Result           string
		}
	}
	wycheproof(t, "aes_cbc_pkcs5", &groups)
	n := 0
	for _, g := range groups {
		for _, c := range g.Tests {
			if g.KeySize != 256 || len(c.CT) == 0 || len(c.CT)%block != 0 {
				continue
			}
			n++
			b, err := aes.NewCipher(c.Key)
			if err != nil {
				t.Fatal(err)
			}
			plain := make([]byte, len(c.CT))
			cipher.NewCBCDecrypter(b, c.IV).CryptBlocks(plain, c.CT)
			k := padding(plain)
			if (k > 0) != (c.Result == "valid") || k > 0 && !bytes.Equal(plain[:len(plain)-k], c.Msg) {
				t.Errorf("%d: padding of %d, want %s", c.ID, k, c.Result)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d tests, want at least 50", n)
	}
}

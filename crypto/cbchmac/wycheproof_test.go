package cbchmac

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"cipherdeck/crypto/vectors"
)

// PKCS#7 padding as chunks use it.
func TestWycheproofPadding(t *testing.T) {
	var groups []struct {
		KeySize int `json:"keySize"`
		Tests   []struct {
			ID               int `json:"tcId"`
			Key, IV, Msg, CT vectors.Hex
			Result           string
		}
	}
	vectors.Wycheproof(t, "aes_cbc_pkcs5", &groups)
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

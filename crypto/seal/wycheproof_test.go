package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"hash"
	"testing"

	"cipherdeck/crypto/vectors"
)

// AES-256-GCM as facts and wrapped keys use it.
func TestWycheproofGCM(t *testing.T) {
	var groups []struct {
		IVSize  int `json:"ivSize"`
		KeySize int `json:"keySize"`
		Tests   []struct {
			ID                         int `json:"tcId"`
			Key, IV, AAD, Msg, CT, Tag vectors.Hex
			Result                     string
		}
	}
	vectors.Wycheproof(t, "aes_gcm", &groups)
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

// RSA-OAEP with SHA-256 as stanzas use it, the odd sizes of the last set too.
func TestWycheproofOAEP(t *testing.T) {
	for name, least := range map[string]int{
		"rsa_oaep_2048_sha256_mgf1sha256": 30, "rsa_oaep_3072_sha256_mgf1sha256": 30, "rsa_oaep_4096_sha256_mgf1sha256": 30, "rsa_oaep_misc": 25,
	} {
		var groups []struct {
			Key         vectors.Hex `json:"privateKeyPkcs8"`
			Bits        int         `json:"keySize"`
			SHA, MGFSHA string
			Tests       []struct {
				ID             int `json:"tcId"`
				Msg, CT, Label vectors.Hex
				Result         string
			}
		}
		vectors.Wycheproof(t, name, &groups)
		n := 0
		for _, g := range groups {
			if g.SHA != "SHA-256" || g.MGFSHA != "SHA-256" || g.Bits < 2048 {
				continue
			}
			k, err := x509.ParsePKCS8PrivateKey(g.Key)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range g.Tests {
				n++
				got, err := rsa.DecryptOAEP(sha256.New(), nil, k.(*rsa.PrivateKey), c.CT, c.Label)
				if (err == nil) != (c.Result == "valid") && c.Result != "acceptable" || err == nil && !bytes.Equal(got, c.Msg) {
					t.Errorf("%s %d: %v, want %s", name, c.ID, err, c.Result)
				}
			}
		}
		if n < least {
			t.Errorf("%s: %d tests, want at least %d", name, n, least)
		}
	}
}

// The HKDF under every key of a container.
func TestWycheproofHKDF(t *testing.T) {
	for name, h := range map[string]func() hash.Hash{"hkdf_sha256": sha256.New, "hkdf_sha512": sha512.New} {
		var groups []struct {
			Tests []struct {
				ID                   int `json:"tcId"`
				IKM, Salt, Info, OKM vectors.Hex
				Size                 int
				Result               string
			}
		}
		vectors.Wycheproof(t, name, &groups)
		n := 0
		for _, g := range groups {
			for _, c := range g.Tests {
				n++
				got, err := hkdf.Key(h, c.IKM, c.Salt, string(c.Info), c.Size)
				if (err == nil) != (c.Result == "valid") || err == nil && !bytes.Equal(got, c.OKM) {
					t.Errorf("%s %d: %v, want %s", name, c.ID, err, c.Result)
				}
			}
		}
		if n < 80 {
			t.Errorf("%s: %d tests, want at least 80", name, n)
		}
	}
}

// HMAC-SHA-256, through the check of a header where the key has its length.
func TestWycheproofHMAC(t *testing.T) {
	var groups []struct {
		TagBits int `json:"tagSize"`
		Tests   []struct {
			ID            int `json:"tcId"`
			Key, Msg, Tag vectors.Hex
			Result        string
		}
	}
	vectors.Wycheproof(t, "hmac_sha256", &groups)
	n := 0
	for _, g := range groups {
		for _, c := range g.Tests {
			n++
			var ok bool
			if g.TagBits == 8*macSize {
				ok = fileKeys{header: c.Key}.checkMAC(append(bytes.Clone(c.Msg), c.Tag...)) == nil
			} else {
				m := hmac.New(sha256.New, c.Key)
				m.Write(c.Msg)
				ok = hmac.Equal(m.Sum(nil)[:g.TagBits/8], c.Tag)
			}
			if ok != (c.Result == "valid") {
				t.Errorf("%d: %v, want %s", c.ID, ok, c.Result)
			}
		}
	}
	if n < 150 {
		t.Errorf("%d tests, want at least 150", n)
	}
}

// ML-KEM-768, the post-quantum half of X-Wing.
func TestWycheproofMLKEM(t *testing.T) {
	var groups []struct {
		Tests []struct {
			ID             int `json:"tcId"`
			Seed, EK, C, K vectors.Hex
			Result         string
		}
	}
	vectors.Wycheproof(t, "mlkem_768", &groups)
	opened := 0
	for _, g := range groups {
		for _, c := range g.Tests {
			d, err := mlkem.NewDecapsulationKey768(c.Seed)
			if err == nil {
				var k []byte
				if k, err = d.Decapsulate(c.C); err == nil {
					opened++
					if !bytes.Equal(k, c.K) {
						t.Errorf("%d: another key", c.ID)
					}
					if c.EK != nil && !bytes.Equal(d.EncapsulationKey().Bytes(), c.EK) {
						t.Errorf("%d: another public key", c.ID)
					}
				}
			}
			if (err == nil) != (c.Result == "valid") {
				t.Errorf("%d: %v, want %s", c.ID, err, c.Result)
			}
		}
	}
	if opened < 150 {
		t.Errorf("%d opened, want at least 150", opened)
	}
}

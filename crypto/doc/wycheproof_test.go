package doc

import (
	"crypto"
	"crypto/x509"
	"testing"

	"cipherdeck/crypto/vectors"
)

// Both kinds of signature, through the check that every signed document takes.
func TestWycheproofSignatures(t *testing.T) {
	for set, least := range map[string]int{
		"ed25519": 150, "rsa_pss_2048_sha256_mgf1_32": 100, "rsa_pss_3072_sha256_mgf1_32": 100, "rsa_pss_4096_sha256_mgf1_32": 100,
	} {
		var groups []struct {
			DER   vectors.Hex `json:"publicKeyDer"`
			Tests []struct {
				ID       int `json:"tcId"`
				Msg, Sig vectors.Hex
				Result   string
			}
		}
		vectors.Wycheproof(t, set, &groups)
		n := 0
		for _, g := range groups {
			pub, err := x509.ParsePKIXPublicKey(g.DER)
			if err != nil {
				t.Fatal(set, err)
			}
			for _, c := range g.Tests {
				n++
				if err := verify(crypto.PublicKey(pub), c.Msg, c.Sig); (err == nil) != (c.Result == "valid") {
					t.Errorf("%s %d: %v, want %s", set, c.ID, err, c.Result)
				}
			}
		}
		if n < least {
			t.Errorf("%s: %d tests, want at least %d", set, n, least)
		}
	}
}

package doc

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"filippo.io/mldsa"

	"cipherdeck/crypto/vectors"
)

// ML-DSA-65 through the check that every signed document takes, which knows the
// empty context only: what is valid for another one is not for us.
func TestWycheproofMLDSA(t *testing.T) {
	var groups []struct {
		Key   vectors.Hex `json:"publicKey"`
		Tests []struct {
			ID            int `json:"tcId"`
			Msg, Sig, Ctx vectors.Hex
			Result        string
		}
	}
	vectors.Wycheproof(t, "mldsa_65_verify", &groups)
	n := 0
	for _, g := range groups {
		pub, bad := mldsa.NewPublicKey(mldsa.MLDSA65(), g.Key)
		for _, c := range g.Tests {
			n++
			err := bad
			if bad == nil {
				err = verify(pub, c.Msg, c.Sig)
			}
			if want := c.Result == "valid" && len(c.Ctx) == 0; (err == nil) != want {
				t.Errorf("%d: %v, want valid %v", c.ID, err, want)
			}
		}
	}
	if n < 200 {
		t.Errorf("%d tests", n)
	}
}

// A key of another parameter set is no key here.
func TestOtherMLDSAIsRefused(t *testing.T) {
	k, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Sign("t", 1, ed, k)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(raw, "t", 1<<20, Keys(ed.Public(), k.Public())); !errors.Is(err, ErrSignature) {
		t.Errorf("ML-DSA-44: %v", err)
	}
	same, _ := mldsa.GenerateKey(mldsa.MLDSA65())
	a, _ := Sign("t", 1, same)
	b, _ := Sign("t", 1, same)
	if string(a) != string(b) {
		t.Error("two signatures of one document differ")
	}
	if _, _, err := Open(a, "t", 1<<20, Keys(same.Public())); err != nil {
		t.Error(err)
	}
}

package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
)

const eight = "unguarded talcum jubilant crayon mushily opposing backlog dehydrate"

// What a secret means must never change, or nobody gets his keys back. The
// value was computed once by pyca/cryptography, see testdata/vectors.py.
func TestDeriveForEver(t *testing.T) {
	for _, account := range []string{"ana@example.org", " Ana@Example.ORG "} {
		s, err := Derive(account, []byte(eight))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(s[:]); got != want1 {
			t.Errorf("%q: %s, want %s", account, got, want1)
		}
	}
	// é as one and as two characters is one secret
	a, err1 := DeriveWeak("z", []byte("caf\u00e9"))
	b, err2 := DeriveWeak("z", []byte("cafe\u0301"))
	if err1 != nil || err2 != nil || a != b || hex.EncodeToString(a[:]) != want2 {
		t.Errorf("%x %x, want %s; %v %v", a[:], b[:], want2, err1, err2)
	}
}

func TestWeakSecretsAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "a", "password", "Passw0rd!", "correct horse battery staple", "12345678901234567890", "abcdefghijklmnopqrstuvwxyz",
		"qwertyuiopasdfghjkl", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "monkeymonkeymonkeymonkeymonkey", "Summer2024!", "Ana@Example1990",
		"iloveyou iloveyou iloveyou", "unguarded talcum jubilant crayon mushily", "unguarded unguarded unguarded unguarded unguarded unguarded",
		"P@ssw0rd P@ssw0rd P@ssw0rd 2024", "xK7#mQ2!", "anaexampleanaexampleanaexample",
	} {
		e := Measure([]byte(s), "ana@example.org")
		if _, err := Derive("ana@example.org", []byte(s)); !errors.Is(err, ErrWeak) {
			t.Errorf("%q is taken for %.0f bits (%s)", s, e.Bits, e.Why)
		} else if len(s) > 3 && strings.Contains(err.Error(), s) {
			t.Error("the error repeats the secret")
		}
	}
	for _, s := range []string{eight, "unguarded talcum jubilant crayon mushily opposing", "xK7#mQ2!vB9$tR5z", "kqzvwmxjtyhbnplrgdscf", "84029175563920174458203917"} {
		if e := Measure([]byte(s), "ana"); e.Bits < MinBits {
			t.Errorf("%q is taken for %.0f bits (%s)", s, e.Bits, e.Why)
		}
	}
}

// Random words must be taken for what they are, whatever the draw: otherwise
// our own generator would be refused.
func TestSuggestionsAreAccepted(t *testing.T) {
	for range 50 {
		s, err := Suggest(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if e := Measure([]byte(s), "ana"); e.Bits < 75 || e.Bits > 110 {
			t.Errorf("%q is taken for %.0f bits (%s)", s, e.Bits, e.Why)
		}
	}
}

func TestAccountNames(t *testing.T) {
	for in, want := range map[string]string{"Ana": "ana", " É ": "é", "E\u0301": "é"} {
		if got, err := Account(in); err != nil || got != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"", "  ", "\xff", strings.Repeat("x", 256)} {
		if _, err := DeriveWeak(in, []byte("x")); !errors.Is(err, ErrAccount) {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := DeriveWeak("a", nil); !errors.Is(err, ErrWeak) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	seed, other := keys.Seed{1}, keys.Seed{2}
	c, err := NewCheck(t.Context(), "Ana", seed, 2048)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenCheck(c.Raw)
	if err != nil || again.Account != "ana" {
		t.Fatal(again, err)
	}
	if err := again.Match("ANA ", seed); err != nil {
		t.Error(err)
	}
	if err := again.Match("ana", other); !errors.Is(err, ErrOther) {
		t.Error(err)
	}
	if err := again.Match("bob", seed); !errors.Is(err, ErrOther) {
		t.Error(err)
	}
	sign, _ := keys.Ed25519(seed)
	spki, xwing, _ := c.Public.Marshal()
	one, err := doc.Sign(CheckType, checkBody{1, "ana", spki, xwing, c.Signer}, sign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheck(one); !errors.Is(err, ErrCheck) {
		t.Error("one signature is enough:", err)
	}
	for i := 0; i < len(c.Raw); i += 7 {
		bad := bytes.Clone(c.Raw)
		bad[i] ^= 1
		if _, err := OpenCheck(bad); !errors.Is(err, ErrCheck) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

const (
	want1 = "2cf6aa5dbb43991ac3171e15320f5a50d7d287fb97c59123a3673c3e3ce1ebdc"
	want2 = "54df4f66c634c6230983ea0a028c4ac1e65118f115001ce76e6131d234570ec2"
)

package keys

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func pair(t *testing.T, b byte) Pair {
	t.Helper()
	p, err := NewPair(t.Context(), Seed{b}, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The labels are part of what a backed-up seed means: these digests must never
// change, or every restored account gets other keys.
func TestSeedGivesTheSameKeysForEver(t *testing.T) {
	s := Seed{1, 2, 3}
	r, err := RSA(t.Context(), s, 2048)
	if err != nil {
		t.Fatal(err)
	}
	x, err := XWing(s)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Ed25519(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"rsa":     {r.N.Bytes(), "567d865d85efe3b0"},
		"xwing":   {x.PublicKey().Bytes(), "bc9b7e8fd923d7a5"},
		"ed25519": {e.Public().(ed25519.PublicKey), "0dc3c53feaa54abf"},
	} {
		sum := sha256.Sum256(c.got)
		if got := hex.EncodeToString(sum[:8]); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRSASizes(t *testing.T) {
	for _, bits := range []int{-1, 0, 1024, 2047, 2056, 6144, 16384} {
		if _, err := RSA(t.Context(), Seed{}, bits); !errors.Is(err, ErrBits) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// The 8192-bit search takes half a minute; a cancelled caller gets away at once.
func TestRSACancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RSA(ctx, Seed{}, 8192); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// lateContext ends after the first look at it: RSA is already searching then.
type lateContext struct {
	context.Context
	looked bool
}

func (c *lateContext) Err() error {
	if c.looked {
		return context.Canceled
	}
	c.looked = true
	return nil
}

func (c *lateContext) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func TestRSACancelledWhileSearching(t *testing.T) {
	if k, err := RSA(&lateContext{Context: t.Context()}, Seed{}, 4096); k != nil || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNewSeed(t *testing.T) {
	a, err := NewSeed(rand.Reader)
	if err != nil || a == (Seed{}) {
		t.Fatal(a == Seed{}, err)
	}
	if _, err := NewSeed(strings.NewReader("short")); err == nil {
		t.Error("short source accepted")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s, p := Seed{0xab, 0xcd}, pair(t, 1)
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(f+f, s, p); !strings.Contains(out, "hidden") || len(out) > 80 {
			t.Errorf("%s prints %.80q", f, out)
		}
	}
}

func TestMarshalRoundTrip(t *testing.T) {
	p := pair(t, 1)
	spki, xwing, err := p.Public().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublic(spki, xwing)
	if err != nil || !pub.RSA.Equal(&p.RSA.PublicKey) || !bytes.Equal(pub.XWing, p.XWing.PublicKey().Bytes()) {
		t.Fatal("public pair does not come back", err)
	}
	a, _ := pub.Fingerprint()
	b, _ := p.Public().Fingerprint()
	if c, _ := pair(t, 2).Public().Fingerprint(); a != b || a == c {
		t.Error("fingerprints do not tell pairs apart")
	}
	pkcs8, seed, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParsePair(pkcs8, seed)
	if err != nil || !back.RSA.Equal(p.RSA) || !bytes.Equal(back.Public().XWing, p.Public().XWing) {
		t.Fatal("private pair does not come back", err)
	}
}

func TestParsePublicRefuses(t *testing.T) {
	p := pair(t, 1).Public()
	spki, xwing, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	der := func(n *big.Int, e int) []byte {
		b, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: e})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	odd := func(bits uint) *big.Int { n := new(big.Int).Lsh(big.NewInt(1), bits-1); return n.SetBit(n, 0, 1) }
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ecDER, _ := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	// A third number in the key, which the parser of crypto/x509 passes over:
	// the same key under another key id.
	inner, err := asn1.Marshal(struct{ N, E, Extra *big.Int }{p.RSA.N, big.NewInt(65537), big.NewInt(1)})
	if err != nil {
		t.Fatal(err)
	}
	malleable, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, asn1.BitString{Bytes: inner, BitLength: 8 * len(inner)}})
	if err != nil {
		t.Fatal(err)
	}
	badKEM := bytes.Repeat([]byte{0xff}, XWingSize) // coefficients above q
	for name, c := range map[string]struct {
		spki, xwing []byte
		want        error
	}{
		"1024 bits":      {der(odd(1024), 65537), xwing, ErrRSA},
		"2040 bits":      {der(odd(2040), 65537), xwing, ErrRSA},
		"2049 bits":      {der(odd(2049), 65537), xwing, ErrRSA},
		"8200 bits":      {der(odd(8200), 65537), xwing, ErrRSA},
		"16384 bits":     {der(odd(16384), 65537), xwing, ErrRSA},
		"even modulus":   {der(new(big.Int).Lsh(big.NewInt(1), 2047), 65537), xwing, ErrRSA},
		"exponent 1":     {der(p.RSA.N, 1), xwing, ErrRSA},
		"exponent 3":     {der(p.RSA.N, 3), xwing, ErrRSA},
		"not RSA":        {ecDER, xwing, ErrRSA},
		"not DER":        {[]byte("hello"), xwing, ErrRSA},
		"extra number":   {malleable, xwing, ErrRSA},
		"trailing":       {append(bytes.Clone(spki), 0), xwing, ErrRSA},
		"no X-Wing":      {spki, nil, ErrXWing},
		"short X-Wing":   {spki, xwing[1:], ErrXWing},
		"long X-Wing":    {spki, append(bytes.Clone(xwing), 0), ErrXWing},
		"invalid X-Wing": {spki, badKEM, ErrXWing},
	} {
		if _, err := ParsePublic(c.spki, c.xwing); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := ParsePublic(der(odd(8192), 65537), xwing); err != nil {
		t.Errorf("8192 bits: %v", err)
	}
	if err := (Public{}).Check(); !errors.Is(err, ErrRSA) {
		t.Errorf("empty: %v", err)
	}
}

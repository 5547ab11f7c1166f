package account

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/secret"
	"cipherdeck/vault"
)

// anaSeed is what secret.Derive gives for ana@example.org and the eight words of
// docs/formats/keys.md; a test of that package holds it.
func anaSeed(t *testing.T) keys.Seed {
	t.Helper()
	b, err := hex.DecodeString("2cf6aa5dbb43991ac3171e15320f5a50d7d287fb97c59123a3673c3e3ce1ebdc")
	if err != nil {
		t.Fatal(err)
	}
	return keys.Seed(b)
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// What a name and a secret lead to must never change, or a person who has
// nothing else is somebody else. The values were computed by testdata/typed.py.
func TestTypedForEver(t *testing.T) {
	const (
		device  = "d181561622936568cd695d75df6e0a00a5d82c8a5007e6972a3ac68778e3761f"
		genesis = "d6cbd8ccc3de64ec1255a1866f46e728fc81cf0f04d68e8165b299e187a39dbc"
		check   = "366636d8d679dfac21a99fdf2149572812829ada8156640a94fcfe1cd7afbe5d"
		uid     = "23f5rtgd3zsoyesvugdg6rxhfd6idtyp"
	)
	for _, name := range []string{"ana@example.org", " Ana@Example.ORG "} {
		a, err := NewTyped(t.Context(), name, anaSeed(t), 3072)
		if err != nil {
			t.Fatal(err)
		}
		me, err := Load(a)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(a.Device[:]); got != device {
			t.Errorf("device seed %s, want %s", got, device)
		}
		if got := hexSum(a.Genesis); got != genesis {
			t.Errorf("genesis %s, want %s", got, genesis)
		}
		if got := hexSum(a.Check); got != check {
			t.Errorf("check value %s, want %s", got, check)
		}
		if me.Account.UID.String() != uid || me.Account.Name != "ana@example.org" || me.Account.Created != 0 {
			t.Errorf("%s %q %d", me.Account.UID, me.Account.Name, me.Account.Created)
		}
		c, err := secret.OpenCheck(a.Check)
		if err != nil || !c.Public.RSA.Equal(me.Account.RSA) {
			t.Errorf("the check value is of another key: %v", err)
		}
	}
}

// The same vector by the other code itself, so that its copy here is not only
// believed.
func TestTypedByOtherCode(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import cryptography").Run(); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: the identity of a typed secret by other code: %s has no cryptography (Debian: python3-cryptography): %v", python, err)
	}
	out, err := exec.Command(python, "testdata/typed.py").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, err := NewTyped(t.Context(), "ana@example.org", anaSeed(t), 3072)
	if err != nil {
		t.Fatal(err)
	}
	acc, err := chain.OpenAccount(a.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{hex.EncodeToString(a.Device[:]), hexSum(a.Genesis), hexSum(a.Check), acc.UID.String()} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the other code does not have %s:\n%s", want, out)
		}
	}
}

func TestTypedDependsOnNameSecretAndSize(t *testing.T) {
	uid := func(name string, seed keys.Seed, bits int) chain.UID {
		a, err := NewTyped(t.Context(), name, seed, bits)
		if err != nil {
			t.Fatal(err)
		}
		me, err := Load(a)
		if err != nil {
			t.Fatal(err)
		}
		return me.Account.UID
	}
	seen := map[chain.UID]bool{}
	for _, u := range []chain.UID{uid("ana", keys.Seed{1}, 2048), uid("bob", keys.Seed{1}, 2048), uid("ana", keys.Seed{2}, 2048), uid("ana", keys.Seed{1}, 3072)} {
		if seen[u] {
			t.Error("two of them are one identity")
		}
		seen[u] = true
	}
	if u := uid("ANA", keys.Seed{1}, 2048); !seen[u] {
		t.Error("a capital makes another identity")
	}
	for _, name := range []string{"", "a/b", "a\x1b", strings.Repeat("x", 65), "\xff"} {
		if _, err := NewTyped(t.Context(), name, keys.Seed{1}, 2048); !errors.Is(err, secret.ErrAccount) {
			t.Errorf("%q: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewTyped(ctx, "ana", keys.Seed{1}, 8192); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func stored8192(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("testdata/rsa8192.pem")
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.ParseRSAPrivatePEM(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// An RSA key of 8192 bits takes a minute to derive and must not be derived at
// each unlock. The key here was made by another program and follows from no
// seed at all: whoever derives anything finds another key, or none.
func TestUnlockDerivesNothing(t *testing.T) {
	k := stored8192(t)
	a, err := NewImported(rand.Reader, "big", k)
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/vault.cdv"
	pass := []byte("correct horse battery")
	v, err := vault.Create(path, vault.State{Account: a}, vault.PassphraseSlot(pass, keys.DefaultArgon2id()))
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	if v, err = vault.Open(t.Context(), path, vault.Passphrase(pass)); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var back vault.Account
	v.View(func(s vault.State) { back = s.Account })
	me, err := Load(back)
	if err != nil {
		t.Fatal(err)
	}
	if !me.Pair.RSA.Equal(k) || me.Account.RSA.N.BitLen() != 8192 || !reflect.DeepEqual(me.Account.RSA, &k.PublicKey) {
		t.Error("not the key that was stored")
	}
}

func TestImportedRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewImported(rand.Reader, "ana", small); !errors.Is(err, keys.ErrRSA) {
		t.Error(err)
	}
	if _, err := NewImported(rand.Reader, "a\n", stored8192(t)); !errors.Is(err, chain.ErrAccount) {
		t.Error(err)
	}
}

// An identity with 8192 bits takes a minute to make, so this runs by
// `make rsa8192` and not with the others. That the generator keeps to its
// published vectors, is tested in crypto/keys, the one of 8192 bits by the same target.
func TestTyped8192(t *testing.T) {
	if os.Getenv("CIPHERDECK_RSA8192") == "" {
		t.Skip("SKIPPED, NOT TESTED: making an identity with RSA-8192, which takes a minute: make rsa8192")
	}
	a, err := NewTyped(t.Context(), "ana@example.org", anaSeed(t), 8192)
	if err != nil {
		t.Fatal(err)
	}
	me, err := Load(a)
	if err != nil {
		t.Fatal(err)
	}
	c, err := secret.OpenCheck(a.Check)
	if err != nil || !c.Public.RSA.Equal(me.Account.RSA) || me.Account.RSA.N.BitLen() != 8192 {
		t.Errorf("check value: %v", err)
	}
	if me.Account.Created != 0 || c.Match("ana@example.org", anaSeed(t)) != nil {
		t.Error("not the identity of this secret")
	}
}

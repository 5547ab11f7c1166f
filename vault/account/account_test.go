package account

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/words"
	"cipherdeck/vault"
	"cipherdeck/vault/private"
)

func person(t *testing.T, name string) vault.Account {
	t.Helper()
	a, err := New(t.Context(), rand.Reader, name, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPerson(t *testing.T) {
	a := person(t, "alice")
	me, err := Load(a)
	if err != nil {
		t.Fatal(err)
	}
	if me.Account.Kind != chain.Person || me.Account.Name != "alice" || me.Account.RSA.N.BitLen() != 2048 {
		t.Fatalf("%+v", me.Account)
	}
	// The kept RSA key is the one that the seed gives.
	r, err := keys.RSA(t.Context(), a.Seed, 2048)
	if err != nil || !r.Equal(me.Pair.RSA) {
		t.Fatalf("RSA key is not the seed's: %v", err)
	}
	pub := me.Pair.Public()
	if err := pub.Check(); err != nil || !reflect.DeepEqual(pub.XWing, me.Account.XWing) {
		t.Fatal("pair is not the account's")
	}
	for _, f := range []string{"%v", "%+v", "%#v"} {
		if s := fmt.Sprintf(f, *me); strings.Contains(s, "Device") {
			t.Errorf("%s shows the keys", f)
		}
	}
}

func TestLoadRefusesOthersKeys(t *testing.T) {
	alice, bob := person(t, "alice"), person(t, "bob")
	node, err := NewNode(rand.Reader, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(a *vault.Account)
		want   error
	}{
		"device":         {func(a *vault.Account) { a.Device = bob.Device }, ErrMismatch},
		"RSA key":        {func(a *vault.Account) { a.RSA = bob.RSA }, ErrMismatch},
		"genesis":        {func(a *vault.Account) { a.Genesis, a.Links = bob.Genesis, bob.Links }, ErrMismatch},
		"node's genesis": {func(a *vault.Account) { a.Genesis, a.Links, a.Device = node.Genesis, nil, node.Seed }, ErrMismatch},
		"no genesis":     {func(a *vault.Account) { a.Genesis = nil }, ErrWaiting},
		"no RSA key":     {func(a *vault.Account) { a.RSA = nil }, keys.ErrRSA},
	} {
		a := alice
		c.change(&a)
		if _, err := Load(a); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := (NodeKeys{Name: alice.Name, Seed: alice.Device, Genesis: alice.Genesis}).Load(); !errors.Is(err, ErrMismatch) {
		t.Errorf("person as a node: %v", err)
	}
	if _, err := (NodeKeys{Name: node.Name, Seed: alice.Device, Genesis: node.Genesis}).Load(); !errors.Is(err, ErrMismatch) {
		t.Errorf("node with another seed: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		who  string
		bits int
		want error
	}{
		"name":     {t.Context(), "two\nlines", 2048, chain.ErrAccount},
		"bits":     {t.Context(), "alice", 1024, keys.ErrBits},
		"canceled": {canceled, "alice", 8192, context.Canceled},
	} {
		if _, err := New(c.ctx, rand.Reader, c.who, c.bits); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewNode(rand.Reader, ""); !errors.Is(err, chain.ErrAccount) {
		t.Error(err)
	}
	if _, err := NewNode(strings.NewReader("short"), "node-1"); err == nil {
		t.Error("made a node of five bytes of chance")
	}
}

func TestWordsAreTheSameOnBothSides(t *testing.T) {
	load := func(name string) *chain.Account {
		k, err := NewNode(rand.Reader, name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := k.Load()
		if err != nil {
			t.Fatal(err)
		}
		return n.Account
	}
	a, b, eve := load("a"), load("b"), load("b")
	if !words.Equal(Words(a, b), Words(b, a)) || Words(a, b) == Words(a, eve) || Words(a, b) == Words(a, a) {
		t.Fatal("words do not tell the two accounts")
	}
}

func TestNodeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node", "identity")
	k, err := NewNode(rand.Reader, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveNode(path, k); err != nil {
		t.Fatal(err)
	}
	got, err := LoadNode(path)
	if err != nil || !reflect.DeepEqual(got, k) {
		t.Fatalf("%v %v", got, err)
	}
	if n, err := got.Load(); err != nil || n.Account.Kind != chain.Node || n.Account.Name != "node-1" {
		t.Fatal(err)
	}
	if err := SaveNode(path, k); !errors.Is(err, ErrNodeExists) {
		t.Errorf("overwritten: %v", err)
	}
	if _, err := LoadNode(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	good, _ := os.ReadFile(path)
	for n := 0; n < len(good); n += 7 {
		os.WriteFile(path, good[:n], 0o600)
		if _, err := LoadNode(path); !errors.Is(err, ErrNodeFile) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	for i := 0; i < len(good); i++ {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		os.WriteFile(path, bad, 0o600)
		if _, err := LoadNode(path); !errors.Is(err, ErrNodeFile) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	os.WriteFile(path, good, 0o600)
	os.Chmod(path, 0o644)
	if _, err := LoadNode(path); !errors.Is(err, private.ErrPermissions) {
		t.Error(err)
	}
}

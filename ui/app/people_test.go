package app

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/vault/account"
)

// A server that shows a person's account in every wrong way gets nothing stored,
// and what it shows last is still compared with what was accepted first.
func TestOtherKeysAreAHardStop(t *testing.T) {
	alice, bob := openedApp(t, "alice"), openedApp(t, "bob")
	_, me, err := bob.opened()
	if err != nil {
		t.Fatal(err)
	}
	first := me.Account
	w, err := account.NewDevice(rand.Reader, first.UID, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	more, err := first.AddDevice(me.Author(), w.Links[0], 2)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	turned, err := more.Rotate(me.Author(), key, first.XWing, 3)
	if err != nil {
		t.Fatal(err)
	}
	forked, err := first.Rotate(me.Author(), key, first.XWing, 2)
	if err != nil {
		t.Fatal(err)
	}
	met, err := alice.remember(first, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.remember(first, met.Words); err != nil {
		t.Fatal(err)
	}
	// A device more is told, and is no stop.
	p, err := alice.remember(more, "")
	if err != nil || len(p.News) != 1 || p.Trust != TrustWords {
		t.Fatalf("%v %+v", err, p)
	}
	for name, c := range map[string]struct {
		shown *chain.Account
		want  error
	}{
		"links held back": {first, account.ErrOlder}, "other keys": {turned, chain.ErrKeysChanged}, "another way": {forked, chain.ErrKeysChanged},
	} {
		p, err := alice.remember(c.shown, "")
		if !errors.Is(err, c.want) || p.Changed == nil || p.Changed.Was.Words != met.Words || p.Trust != "" {
			t.Errorf("%s: %v %+v", name, err, p)
		}
		all, err := alice.People()
		if err != nil || len(all) != 1 || all[0].Words != met.Words || all[0].Trust != TrustWords {
			t.Errorf("%s: something was stored: %v %+v", name, err, all)
		}
	}
	// Words of held-back links are the right ones, and help nothing.
	if _, err := alice.remember(first, met.Words); !errors.Is(err, account.ErrOlder) {
		t.Errorf("older, with its words: %v", err)
	}
	// A project that knows keys which Alice has not accepted; one that is behind is no harm.
	if err := alice.mayWrap(turned); !errors.Is(err, chain.ErrKeysChanged) {
		t.Errorf("wrap for other keys: %v", err)
	}
	for _, a := range []*chain.Account{first, more} {
		if err := alice.mayWrap(a); err != nil {
			t.Errorf("wrap: %v", err)
		}
	}
	// The words of the new keys accept them.
	p, err = alice.remember(turned, "")
	if !errors.Is(err, chain.ErrKeysChanged) {
		t.Fatal(err)
	}
	if p, err = alice.remember(turned, p.Changed.Now.Words); err != nil || p.Trust != TrustWords {
		t.Fatalf("%v %+v", err, p)
	}
	if err := alice.mayWrap(turned); err != nil {
		t.Fatal(err)
	}
}

// A stranger who calls himself as somebody who is known here is not silently a
// second one.
func TestSameNameIsAHardStop(t *testing.T) {
	alice, bob, other := openedApp(t, "alice"), openedApp(t, "bob"), openedApp(t, "BOB")
	_, him, err := bob.opened()
	if err != nil {
		t.Fatal(err)
	}
	_, twin, err := other.opened()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.remember(him.Account, ""); err != nil {
		t.Fatal(err)
	}
	p, err := alice.remember(twin.Account, "")
	if !errors.Is(err, chain.ErrKeysChanged) || p.Changed == nil || p.Changed.Was.UID != him.Account.UID.String() {
		t.Fatalf("%v %+v", err, p)
	}
	if _, err := alice.remember(twin.Account, p.Words); err != nil {
		t.Fatal(err)
	}
	if all, err := alice.People(); err != nil || len(all) != 2 {
		t.Fatalf("%v %+v", err, all)
	}
}

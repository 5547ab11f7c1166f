package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/secret"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// typed is a person with the RSA key of a seed, and her check value.
func typed(t *testing.T, name string, r *rsa.PrivateKey, seed keys.Seed) (rt.Who, secret.Check) {
	t.Helper()
	device, err := keys.Ed25519(keys.Seed{seed[0], 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := chain.NewAccount(chain.Person, name, 1, r, device, bytes.Repeat([]byte{7}, 1216))
	if err != nil {
		t.Fatal(err)
	}
	c, err := secret.SignCheck(name, seed, r)
	if err != nil {
		t.Fatal(err)
	}
	return rt.Who{Account: a, Key: device}, c
}

func rsaOf(t *testing.T, seed keys.Seed) *rsa.PrivateKey {
	t.Helper()
	k, err := keys.RSA(t.Context(), seed, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestChecks stores and asks for check values, as their owner, as another
// account, as nobody.
func TestChecks(t *testing.T) {
	s := start(t, func(c *server.Config) { c.Enrolment = server.EnrolOpen })
	mine := rsaOf(t, keys.Seed{1})
	ana, check := typed(t, "Ana", mine, keys.Seed{1})
	nobody := rt.Client(t, s.srv, rt.Who{Account: &chain.Account{}, Key: make(ed25519.PrivateKey, ed25519.PrivateKeySize)})
	if all, err := nobody.Checks(t.Context(), "ana"); err != nil || len(all) != 0 {
		t.Fatalf("before: %d, %v", len(all), err)
	}
	c := rt.Enrolled(t, s.srv, ana)
	for range 2 { // it may be repeated
		wantErr(t, "put", c.PutCheck(t.Context(), check), nil)
	}
	all, err := nobody.Checks(t.Context(), " ANA ")
	if err != nil || len(all) != 1 || !bytes.Equal(all[0].Raw, check.Raw) {
		t.Fatalf("after: %d, %v", len(all), err)
	}
	wantErr(t, "without login", nobody.PutCheck(t.Context(), check), api.ErrUnauthorized)
	wantErr(t, "another one's", s.client.PutCheck(t.Context(), check), api.ErrForbidden)
	_, renamed := typed(t, "eve", mine, keys.Seed{1})
	wantErr(t, "of another name", c.PutCheck(t.Context(), renamed), api.ErrForbidden)
	_, other := typed(t, "ana", rsaOf(t, keys.Seed{2}), keys.Seed{2})
	wantErr(t, "of another key", c.PutCheck(t.Context(), other), api.ErrForbidden)
	forged := check
	forged.Raw = bytes.Clone(check.Raw)
	forged.Raw[len(forged.Raw)-1] ^= 1
	wantErr(t, "forged", c.PutCheck(t.Context(), forged), api.ErrInvalid)
	elsewhere := check
	elsewhere.Account = "eve"
	wantErr(t, "under another name", c.PutCheck(t.Context(), elsewhere), api.ErrInvalid)
	if all, err := nobody.Checks(t.Context(), "eve"); err != nil || len(all) != 0 {
		t.Errorf("eve has %d, %v", len(all), err)
	}
	s.restart(t)
	again := rt.Client(t, s.srv, rt.Who{Account: &chain.Account{}, Key: make(ed25519.PrivateKey, ed25519.PrivateKeySize)})
	if all, err := again.Checks(t.Context(), "ana"); err != nil || len(all) != 1 {
		t.Errorf("after a restart: %d, %v", len(all), err)
	}
}

// TestChecksHaveALimit fills a name. One RSA key with many Ed25519 keys stands
// for many people, since making RSA keys is slow.
func TestChecksHaveALimit(t *testing.T) {
	s := start(t, func(c *server.Config) { c.Enrolment = server.EnrolOpen })
	r := rsaOf(t, keys.Seed{1})
	for i := range api.MaxChecks + 1 {
		who, check := typed(t, "ana", r, keys.Seed{byte(i + 1)})
		want := error(nil)
		if i == api.MaxChecks {
			want = api.ErrConflict
		}
		wantErr(t, fmt.Sprint("put ", i), rt.Enrolled(t, s.srv, who).PutCheck(t.Context(), check), want)
	}
	all, err := s.client.Checks(t.Context(), "ana")
	if err != nil || len(all) != api.MaxChecks {
		t.Errorf("%d, %v", len(all), err)
	}
}

package account

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/secret"
	"cipherdeck/vault"
)

// NewTyped makes the person that a typed secret leads to. seed is what
// secret.Derive gave for this name. Name, seed and rsaBits decide everything,
// the user id too: two machines that are given the same make the same person,
// and the same device. The name becomes what secret.Account makes of it. The
// check value is in the account.
//
// Errors are those of New, or wrap secret.ErrAccount.
func NewTyped(ctx context.Context, name string, seed keys.Seed, rsaBits int) (vault.Account, error) {
	name, err := TypedName(name)
	if err != nil {
		return vault.Account{}, err
	}
	r, err := keys.RSA(ctx, seed, rsaBits)
	if err != nil {
		return vault.Account{}, err
	}
	device, err := keys.FirstDevice(seed)
	if err != nil {
		return vault.Account{}, err
	}
	salt, err := keys.SaltKey(seed)
	if err != nil {
		return vault.Account{}, err
	}
	d, err := deviceKeys(device)
	if err != nil {
		return vault.Account{}, err
	}
	a, err := chain.NewSameAccount(name, doc.Same{PrivateKey: r, Salt: salt}, d.sign, d.kem.PublicKey().Bytes())
	if err != nil {
		return vault.Account{}, err
	}
	c, err := secret.SignCheck(name, seed, r)
	if err != nil {
		return vault.Account{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(r)
	if err != nil {
		return vault.Account{}, err
	}
	return complete(vault.Account{Name: name, Seed: seed, Device: device, RSA: der, Genesis: a.Raw, Check: c.Raw})
}

// TypedName is the one form of a name that can have a typed secret. Errors wrap
// secret.ErrAccount.
func TypedName(name string) (string, error) {
	n, err := secret.Account(name)
	if err != nil {
		return "", err
	}
	if err := chain.CheckName(n); err != nil {
		return "", fmt.Errorf("%w: %w", secret.ErrAccount, err)
	}
	return n, nil
}

// NewImported makes a person around an RSA key that she must keep using. No
// seed leads to that key: who loses it has lost the account. Errors are those
// of New, or wrap keys.ErrRSA.
func NewImported(rand io.Reader, name string, key *rsa.PrivateKey) (vault.Account, error) {
	if err := chain.CheckName(name); err != nil {
		return vault.Account{}, fmt.Errorf("%w: %w", chain.ErrAccount, err)
	}
	if err := (keys.Public{RSA: &key.PublicKey}).CheckRSA(); err != nil {
		return vault.Account{}, err
	}
	if len(key.Primes) != 2 {
		return vault.Account{}, fmt.Errorf("%w: it has %d primes, want 2", keys.ErrRSA, len(key.Primes))
	}
	seed, err := keys.NewSeed(rand) // what else is derived from an account has one too
	if err != nil {
		return vault.Account{}, err
	}
	a, err := around(rand, name, seed, key)
	a.Imported = true
	return a, err
}

// around draws a device and signs the genesis of a person with this seed and
// RSA key.
func around(rand io.Reader, name string, seed keys.Seed, r *rsa.PrivateKey) (vault.Account, error) {
	device, err := keys.NewSeed(rand)
	if err != nil {
		return vault.Account{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(r)
	if err != nil {
		return vault.Account{}, err
	}
	d, err := deviceKeys(device)
	if err != nil {
		return vault.Account{}, err
	}
	a, err := chain.NewAccount(chain.Person, name, time.Now().UnixMilli(), r, d.sign, d.kem.PublicKey().Bytes())
	if err != nil {
		return vault.Account{}, err
	}
	return complete(vault.Account{Name: name, Seed: seed, Device: device, RSA: der, Genesis: a.Raw})
}

func complete(a vault.Account) (vault.Account, error) {
	a, _, err := Complete(a, time.Now())
	return a, err
}

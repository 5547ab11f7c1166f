// Package account makes and loads identities: the owner's, kept in her vault,
// and a compute node's, kept in a file of its own.
//
// A person is two seeds and a signed genesis. The account seed gives the RSA
// key, which is the root of the account; the device seed gives this device's
// Ed25519 and X-Wing keys. The genesis binds all three, and its hash is the
// user id. Signatures in it are randomised and it has a date, so the seeds alone
// do not give the same user id again: the genesis must be kept with them.
//
// A person with a typed secret is the exception (NewTyped): the account seed is
// derived from it, the device seed from the account seed, and the genesis has no
// date and no chance in it. The price: whoever types the secret is the same
// device, so none of her machines can be told from another or taken away alone.
//
// A node has no RSA key and no person behind it. Its seed lies unsealed in a
// file with mode 0600, because a node must start without a human; who can read
// that file can open jobs granted to the node.
//
// Not here: a second device, and revoking one.
package account

import (
	"context"
	"crypto/ed25519"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/words"
	"cipherdeck/vault"
)

// ErrMismatch is wrapped when keys are not the ones that the genesis names.
var ErrMismatch = errors.New("keys do not belong to the account")

// Me is the owner of an unlocked vault.
type Me struct {
	Account *chain.Account
	Device  ed25519.PrivateKey // signs links
	Pair    keys.Pair          // opens what is sealed to me
}

// String hides the keys, so that no log or error can show them by accident.
func (Me) String() string { return "account.Me(hidden)" }

// GoString hides the keys from %#v.
func (m Me) GoString() string { return m.String() }

// New makes a person. rand gives the seeds (crypto/rand.Reader outside tests);
// rsaBits is 2048, 3072, 4096 or 8192, and keys.RSA says how long each takes.
// When ctx ends first its error is returned. Errors wrap keys.ErrBits, or
// chain.ErrAccount for a name that chain.CheckName refuses.
func New(ctx context.Context, rand io.Reader, name string, rsaBits int) (vault.Account, error) {
	if err := chain.CheckName(name); err != nil { // before seconds of work
		return vault.Account{}, fmt.Errorf("%w: %w", chain.ErrAccount, err)
	}
	seed, err := keys.NewSeed(rand)
	if err != nil {
		return vault.Account{}, err
	}
	r, err := keys.RSA(ctx, seed, rsaBits)
	if err != nil {
		return vault.Account{}, err
	}
	return around(rand, name, seed, r)
}

// Load verifies the genesis in a and gives the keys, after it has compared each
// with the genesis. Errors wrap chain.ErrAccount, keys.ErrRSA or ErrMismatch.
func Load(a vault.Account) (*Me, error) {
	acc, err := chain.OpenAccount(a.Genesis)
	if err != nil {
		return nil, err
	}
	d, err := deviceKeys(a.Device)
	if err != nil {
		return nil, err
	}
	if err := d.match(acc); err != nil {
		return nil, err
	}
	x, err := d.kem.Bytes()
	if err != nil {
		return nil, err
	}
	pair, err := keys.ParsePair(a.RSA, x)
	clear(x)
	if err != nil {
		return nil, err
	}
	if acc.RSA == nil || !pair.RSA.PublicKey.Equal(acc.RSA) {
		return nil, fmt.Errorf("%w: RSA key", ErrMismatch)
	}
	return &Me{Account: acc, Device: d.sign, Pair: pair}, nil
}

// Words is what two people read to each other to know that nobody stands
// between them: both see the same, whoever is first. See words.Pair.
func Words(me, other *chain.Account) string { return words.Pair(me.UID[:], other.UID[:]) }

// match reports whether the account's genesis names these device keys.
func (d device) match(a *chain.Account) error {
	if !d.sign.Public().(ed25519.PublicKey).Equal(a.Device) {
		return fmt.Errorf("%w: device signature key", ErrMismatch)
	}
	if subtle.ConstantTimeCompare(d.kem.PublicKey().Bytes(), a.XWing) != 1 {
		return fmt.Errorf("%w: device X-Wing key", ErrMismatch)
	}
	return nil
}

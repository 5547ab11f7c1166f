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
// After the genesis come signed links: one that gives the first device its
// ML-DSA key, made together with the genesis; more devices, each with keys of its
// own that sign for it; revoked ones; new RSA and X-Wing keys. Devices share the
// account's RSA and X-Wing keys, since things are sealed to a person and not to a
// machine; so a device that was lost calls for Rotate besides Revoke.
package account

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/mldsa"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
)

// ErrMismatch is wrapped when keys are not the ones that the genesis names.
var ErrMismatch = errors.New("keys do not belong to the account")

// ErrRevoked is wrapped when this device was revoked by another one of the
// account.
var ErrRevoked = errors.New("this device was revoked")

// ErrWaiting is wrapped when this device has asked to belong to an account and
// has no answer yet.
var ErrWaiting = errors.New("this device is not part of an account yet")

// Me is the owner of an unlocked vault.
type Me struct {
	Account *chain.Account
	Device  ed25519.PrivateKey // signs logins, jobs and links, the latter with PQ
	PQ      *mldsa.PrivateKey
	Pair    keys.Pair     // opens what is sealed to me
	Former  []keys.Pair   // opens what was sealed to me before a rotation
	Root    crypto.Signer // signs links of the account
}

// Key is what signs links of a project.
func (m *Me) Key() chain.Key { return chain.Key{Sign: m.Device, PQ: m.PQ} }

// Author is who signs links of the account.
func (m *Me) Author() chain.Author { return chain.Author{Root: m.Root, Device: m.Key()} }

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

// Load verifies the account in a and gives the keys, after it has compared each
// with the account. Errors wrap chain.ErrAccount, keys.ErrRSA, ErrMismatch,
// ErrRevoked or ErrWaiting.
func Load(a vault.Account) (*Me, error) {
	if len(a.Genesis) == 0 && a.Device != [32]byte{} {
		return nil, ErrWaiting
	}
	acc, err := chain.OpenAccountChain(a.Genesis, a.Links)
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
	pair, err := pairOf(a.RSA, a.XWing, d)
	if err != nil {
		return nil, err
	}
	if acc.RSA == nil || !pair.RSA.PublicKey.Equal(acc.RSA) {
		return nil, fmt.Errorf("%w: RSA key", ErrMismatch)
	}
	if !bytes.Equal(pair.Public().XWing, acc.XWing) {
		return nil, fmt.Errorf("%w: X-Wing key", ErrMismatch)
	}
	me := &Me{Account: acc, Device: d.sign, PQ: d.pq, Pair: pair}
	for _, f := range a.Former {
		p, err := pairOf(f.RSA, f.XWing, d)
		if err != nil {
			return nil, err
		}
		me.Former = append(me.Former, p)
	}
	me.Root, err = rootOf(a, pair)
	return me, err
}

// pairOf reads a pair of keys; without x it is the device's own X-Wing key.
func pairOf(rsa, x []byte, d device) (keys.Pair, error) {
	if len(x) != 0 {
		return keys.ParsePair(rsa, x)
	}
	own, err := d.kem.Bytes()
	if err != nil {
		return keys.Pair{}, err
	}
	defer clear(own)
	return keys.ParsePair(rsa, own)
}

// rootOf is the RSA key as it signs for the account: without chance where the
// account comes from a typed secret, so that its links come out alike too.
func rootOf(a vault.Account, p keys.Pair) (crypto.Signer, error) {
	if len(a.Check) == 0 || len(a.Former) > 0 {
		return p.RSA, nil
	}
	salt, err := keys.SaltKey(a.Seed)
	return doc.Same{PrivateKey: p.RSA, Salt: salt}, err
}

// Complete gives an account the links that it needs and an older program did not
// make: the one with the ML-DSA key of its first device. It reports whether a
// was changed.
func Complete(a vault.Account, now time.Time) (vault.Account, bool, error) {
	if len(a.Links) > 0 || len(a.Genesis) == 0 {
		return a, false, nil
	}
	me, err := Load(a)
	if err != nil {
		return a, false, err
	}
	unix := now.UnixMilli()
	if len(a.Check) > 0 {
		unix = 0
	}
	acc, err := me.Account.GivePQ(me.Author(), unix)
	if err != nil {
		return a, false, err
	}
	a.Links = acc.Links
	return a, true, nil
}

// match reports whether the account has these device keys, and that it has not
// revoked them.
func (d device) match(a *chain.Account) error {
	kid, err := doc.KeyIDOf(d.sign.Public())
	if err != nil {
		return err
	}
	for _, o := range a.Devices {
		switch {
		case o.ID != kid:
		case o.Revoked != 0:
			return fmt.Errorf("%w: by link %d of the account", ErrRevoked, o.Revoked)
		case !bytes.Equal(d.kem.PublicKey().Bytes(), o.XWing):
			return fmt.Errorf("%w: device X-Wing key", ErrMismatch)
		case o.PQ != nil && !bytes.Equal(d.pq.PublicKey().Bytes(), o.PQ):
			return fmt.Errorf("%w: device ML-DSA key", ErrMismatch)
		default:
			return nil
		}
	}
	return fmt.Errorf("%w: device signature key", ErrMismatch)
}

package account

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
)

// The errors of accounts that go on.
var (
	// ErrTyped is wrapped by Turn for an identity from a typed secret: the next
	// machine where the secret is typed would make the old keys again.
	ErrTyped = errors.New("the keys follow from a typed secret and cannot be changed")
	// ErrElsewhere is wrapped when another device of mine changed the account's
	// keys, which this one does not have yet.
	ErrElsewhere = errors.New("another device of yours changed the account's keys")
	// ErrDiverged is wrapped when the account has another link where this device
	// has its own.
	ErrDiverged = errors.New("your account has a link that this device's account does not go on to")
)

// Turn gives the account in a new keys, root and an X-Wing key from rand, and
// signs the link that says so. What was sealed to the old ones still opens. Errors
// wrap ErrTyped.
func Turn(a vault.Account, rand io.Reader, root *rsa.PrivateKey, now time.Time) (vault.Account, error) {
	if len(a.Check) > 0 {
		return a, ErrTyped
	}
	me, err := Load(a)
	if err != nil {
		return a, err
	}
	seed, err := keys.NewSeed(rand)
	if err != nil {
		return a, err
	}
	x, err := keys.XWing(seed)
	if err != nil {
		return a, err
	}
	acc, err := me.Account.Rotate(me.Author(), root, x.PublicKey().Bytes(), now.UnixMilli())
	if err != nil {
		return a, err
	}
	var old vault.FormerKeys
	if old.RSA, old.XWing, err = me.Pair.Marshal(); err != nil {
		return a, err
	}
	n := a
	n.Former = append([]vault.FormerKeys{old}, a.Former...)
	n.Links, n.Imported = acc.Links, false
	if n.RSA, err = x509.MarshalPKCS8PrivateKey(root); err != nil {
		return a, err
	}
	if n.XWing, err = x.Bytes(); err != nil {
		return a, err
	}
	_, err = Load(n)
	return n, err
}

// Adopt follows links that another device of mine made, as a server shows them
// after the last link of a. It is what a device does whose account went on
// without it. Errors wrap chain.ErrAccount, ErrRevoked, when one of them revokes
// this device, or ErrElsewhere, when one changes the keys; a is not changed then.
func Adopt(a vault.Account, links [][]byte) (vault.Account, []chain.Event, error) {
	acc, err := chain.OpenAccountChain(a.Genesis, a.Links)
	if err != nil {
		return a, nil, err
	}
	next, err := acc.Follow(links)
	if err != nil {
		return a, nil, err
	}
	events, err := next.Events(acc.Seq)
	if err != nil {
		return a, nil, err
	}
	d, err := deviceKeys(a.Device)
	if err != nil {
		return a, nil, err
	}
	if err := d.match(next); err != nil {
		return a, events, err
	}
	if next.Rotations != acc.Rotations {
		return a, events, fmt.Errorf("%w: account link %d", ErrElsewhere, lastRotation(events))
	}
	a.Links = next.Links
	return a, events, nil
}

func lastRotation(events []chain.Event) (seq uint64) {
	for _, e := range events {
		if e.Kind == chain.AccountRotate {
			seq = e.Seq
		}
	}
	return seq
}

// sameKeys reports whether two accounts have the same keys in force.
func sameKeys(a, b *chain.Account) bool {
	return a.Rotations == b.Rotations && bytes.Equal(a.XWing, b.XWing) && (a.RSA == nil) == (b.RSA == nil) && (a.RSA == nil || a.RSA.Equal(b.RSA))
}

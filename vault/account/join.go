package account

import (
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/words"
	"cipherdeck/vault"
)

// ErrMember is wrapped when a device that belongs to an account is treated as one
// that waits.
var ErrMember = errors.New("this device is part of an account already")

// NewDevice draws a device that asks to belong to account u: its request is the
// one link of the result, and there is nothing else in it. Load answers
// ErrWaiting until Finish was given an answer. Errors wrap chain.ErrAccount for a
// name that chain.CheckName refuses.
func NewDevice(rand io.Reader, u chain.UID, name string) (vault.Account, error) {
	if err := chain.CheckName(name); err != nil {
		return vault.Account{}, fmt.Errorf("%w: %w", chain.ErrAccount, err)
	}
	seed, err := keys.NewSeed(rand)
	if err != nil {
		return vault.Account{}, err
	}
	d, err := deviceKeys(seed)
	if err != nil {
		return vault.Account{}, err
	}
	raw, err := chain.NewRequest(u, name, chain.Key{Sign: d.sign, PQ: d.pq}, d.kem.PublicKey().Bytes())
	if err != nil {
		return vault.Account{}, err
	}
	return vault.Account{Name: name, Device: seed, Links: [][]byte{raw}}, nil
}

// Asking is the request of a device that waits: the signed bytes, what is in
// them, and the account that it asks for. Errors wrap ErrMember.
func Asking(a vault.Account) ([]byte, chain.Device, chain.UID, error) {
	if len(a.Genesis) != 0 || len(a.Links) != 1 {
		return nil, chain.Device{}, chain.UID{}, ErrMember
	}
	d, u, err := chain.OpenRequest(a.Links[0])
	return a.Links[0], d, u, err
}

// RequestWords are eight words over an account and a request to belong to it.
// Both machines show them; a request that was exchanged on its way has others.
func RequestWords(u chain.UID, request []byte) string {
	name := id.Of(request)
	return words.Fingerprint(doc.LP([]byte("cipherdeck/device/words/v1"), u[:], name[:]))
}

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/remote/store"
)

// accounts are the signed geneses of those who enrolled. They never change, so
// a verified one may be remembered.
type accounts struct {
	docs  store.Docs
	known *cache[chain.UID, *chain.Account]
}

// get is a verified account; store.ErrNotFound for one that is not enrolled.
func (a *accounts) get(ctx context.Context, u chain.UID) (*chain.Account, error) {
	if known, ok := a.known.get(u); ok {
		return known, nil
	}
	d, err := a.docs.Get(ctx, accountKey(u))
	if err != nil {
		return nil, err
	}
	acc, err := chain.OpenAccount(d.Body)
	if err != nil || acc.UID != u {
		return nil, fmt.Errorf("account %s: %w: %w", u, store.ErrCorrupt, err)
	}
	a.known.put(acc.UID, acc)
	return acc, nil
}

// put stores a verified account and reports whether it is new.
func (a *accounts) put(ctx context.Context, acc *chain.Account) (bool, error) {
	_, err := a.docs.Put(ctx, accountKey(acc.UID), acc.Raw, 0)
	if err == nil {
		a.known.put(acc.UID, acc)
		return true, nil
	}
	if !errors.Is(err, store.ErrConflict) {
		return false, err
	}
	have, err := a.docs.Get(ctx, accountKey(acc.UID))
	if err != nil {
		return false, err
	}
	if !bytes.Equal(have.Body, acc.Raw) {
		return false, fmt.Errorf("account %s: %w", acc.UID, store.ErrConflict)
	}
	return false, nil
}

func accountKey(u chain.UID) string { return "accounts/" + u.String() }

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"cipherdeck/crypto/chain"
	"cipherdeck/remote/store"
)

// maxCached bounds each of the caches of verified chains.
const maxCached = 4096

// accounts are the signed geneses of those who enrolled. They never change, so
// a verified one may be remembered.
type accounts struct {
	docs  store.Docs
	mu    sync.Mutex
	known map[chain.UID]*chain.Account
}

// get is a verified account; store.ErrNotFound for one that is not enrolled.
func (a *accounts) get(ctx context.Context, u chain.UID) (*chain.Account, error) {
	a.mu.Lock()
	known, ok := a.known[u]
	a.mu.Unlock()
	if ok {
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
	a.remember(acc)
	return acc, nil
}

// put stores a verified account and reports whether it is new.
func (a *accounts) put(ctx context.Context, acc *chain.Account) (bool, error) {
	_, err := a.docs.Put(ctx, accountKey(acc.UID), acc.Raw, 0)
	if err == nil {
		a.remember(acc)
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

func (a *accounts) remember(acc *chain.Account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	makeRoom(a.known)
	a.known[acc.UID] = acc
}

// makeRoom drops any one entry of a full cache.
func makeRoom[K comparable, V any](m map[K]V) {
	if len(m) < maxCached {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}

func accountKey(u chain.UID) string { return "accounts/" + u.String() }

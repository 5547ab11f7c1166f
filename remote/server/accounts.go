package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/remote/store"
)

// maxLinksBytes bounds the links of one account in the store.
const maxLinksBytes = 512 << 10

// accounts are the signed accounts of those who enrolled: a genesis, which never
// changes, and the links after it in a document of their own. The links are read
// each time, since another server of the same store may have taken one: a revoked
// device must not go on for as long as it is remembered here.
type accounts struct {
	docs  store.Docs
	known *cache[chain.UID, *chain.Account]
}

// linksDoc is the body of the document of links.
type linksDoc struct {
	V     uint8    `cbor:"1,keyasint"`
	Links [][]byte `cbor:"2,keyasint"`
}

// get is a verified account; store.ErrNotFound for one that is not enrolled.
func (a *accounts) get(ctx context.Context, u chain.UID) (*chain.Account, error) {
	acc, _, err := a.read(ctx, u)
	return acc, err
}

// read is get, with the revision of the document of links.
func (a *accounts) read(ctx context.Context, u chain.UID) (*chain.Account, store.Rev, error) {
	acc, err := a.base(ctx, u)
	if err != nil {
		return nil, 0, err
	}
	links, rev, err := a.links(ctx, u)
	if err != nil {
		return nil, 0, err
	}
	if acc, err = follow(acc, links); err != nil {
		return nil, 0, fmt.Errorf("account links of %s: %w: %w", u, store.ErrCorrupt, err)
	}
	a.known.put(u, acc)
	return acc, rev, nil
}

// links are the links of u as they are stored, with their revision; none is no
// error.
func (a *accounts) links(ctx context.Context, u chain.UID) ([][]byte, store.Rev, error) {
	d, err := a.docs.Get(ctx, linksKey(u))
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var l linksDoc
	if err := doc.Decode(d.Body, &l); err != nil {
		return nil, 0, fmt.Errorf("account links of %s: %w: %w", u, store.ErrCorrupt, err)
	}
	return l.Links, d.Rev, nil
}

// base is the account as it is remembered, or its genesis.
func (a *accounts) base(ctx context.Context, u chain.UID) (*chain.Account, error) {
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
	return acc, nil
}

// follow is acc with all of links, of which it has the first ones already.
func follow(acc *chain.Account, links [][]byte) (*chain.Account, error) {
	n := int(acc.Seq)
	if n > len(links) {
		return nil, fmt.Errorf("%d links, there were %d", len(links), n)
	}
	for i := range n {
		if !bytes.Equal(acc.Links[i], links[i]) {
			return nil, fmt.Errorf("link %d is another one than before", i+1)
		}
	}
	return acc.Follow(links[n:])
}

// put stores a genesis and reports whether it is new.
func (a *accounts) put(ctx context.Context, acc *chain.Account) (bool, error) {
	_, err := a.docs.Put(ctx, accountKey(acc.UID), acc.Raw, 0)
	if err == nil {
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

// append stores raw as the next link of u, or finds it there, and gives its
// number. store.ErrConflict when another link has its place.
func (a *accounts) append(ctx context.Context, u chain.UID, raw []byte) (seq uint64, fresh bool, err error) {
	acc, rev, err := a.read(ctx, u)
	if err != nil {
		return 0, false, err
	}
	total := len(raw)
	for i, l := range acc.Links {
		if bytes.Equal(l, raw) {
			return uint64(i) + 1, false, nil
		}
		total += len(l)
	}
	if total > maxLinksBytes {
		return 0, false, fmt.Errorf("%w: the account's links have %d bytes, limit %d", store.ErrTooLarge, total, maxLinksBytes)
	}
	next, err := acc.Next(raw)
	if errors.Is(err, chain.ErrOrder) {
		return 0, false, fmt.Errorf("%w: %w", store.ErrConflict, err)
	}
	if err != nil {
		return 0, false, err
	}
	body, err := doc.Encode(linksDoc{V: 1, Links: next.Links})
	if err != nil {
		return 0, false, err
	}
	if _, err := a.docs.Put(ctx, linksKey(u), body, rev); err != nil {
		return 0, false, err
	}
	a.known.put(u, next)
	return next.Seq, true, nil
}

func accountKey(u chain.UID) string { return "accounts/" + u.String() }
func linksKey(u chain.UID) string   { return "account-links/" + u.String() }

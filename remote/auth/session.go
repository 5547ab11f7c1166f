package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
)

// Session is one login in force, as its owner may see it. ID names it and opens
// nothing: it is a part of the hash of the token.
type Session struct {
	ID       string
	UID      chain.UID
	Device   doc.KeyID
	Created  time.Time
	NotAfter time.Time
}

const sessionID = 16 // hex digits

func (s session) session(key string) Session {
	return Session{ID: strings.TrimPrefix(key, tokenPrefix)[:sessionID], UID: s.UID, Device: s.Device,
		Created: time.UnixMilli(s.Created), NotAfter: time.UnixMilli(s.NotAfter)}
}

// Of lists the logins of an account that are in force. It reads all there are:
// they live for minutes.
func (t Tokens) Of(ctx context.Context, u chain.UID) ([]Session, error) {
	out := []Session{}
	err := t.each(ctx, u, func(key string, s session) error {
		out = append(out, s.session(key))
		return nil
	})
	return out, err
}

// RevokeOf ends the logins of an account for which which is true, at once, and
// says how many those were.
func (t Tokens) RevokeOf(ctx context.Context, u chain.UID, which func(Session) bool) (int, error) {
	n := 0
	err := t.each(ctx, u, func(key string, s session) error {
		if !which(s.session(key)) {
			return nil
		}
		d, err := t.Docs.Get(ctx, key)
		if err == nil {
			err = t.Docs.Delete(ctx, key, d.Rev)
		}
		if gone(err) == nil {
			n++
		}
		return gone(err)
	})
	return n, err
}

// each goes through the logins of u that have not expired.
func (t Tokens) each(ctx context.Context, u chain.UID, f func(key string, s session) error) error {
	for d, err := range t.Docs.List(ctx, tokenPrefix) {
		if err != nil {
			return fmt.Errorf("logins of %s: %w", u.Short(), err)
		}
		var s session
		if doc.Decode(d.Body, &s) != nil || s.UID != u || t.Now().UnixMilli() >= s.NotAfter {
			continue
		}
		if err := f(d.Key, s); err != nil {
			return err
		}
	}
	return nil
}

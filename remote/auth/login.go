package auth

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/remote/api"
)

// MaxSkew is how far the client's clock may be from ours.
const MaxSkew = 5 * time.Minute

// ErrLogin is wrapped when a login is refused. The text says why, for the log;
// a client is told no more than that it was refused.
var ErrLogin = errors.New("login refused")

// Verifier checks logins to one server.
type Verifier struct {
	SPKI       [32]byte // SHA-256 of this server's TLS key
	Challenges *Challenges
	Now        func() time.Time
}

// Entry is what a good login shows: which nonce it used up, and which device key
// signed it.
type Entry struct {
	Nonce  Nonce
	Device doc.KeyID
}

// Check verifies a signed login by account a on the connection cs and uses up
// its nonce, also when it is refused. Errors wrap ErrLogin.
func (v Verifier) Check(cs *tls.ConnectionState, raw []byte, a *chain.Account) (Entry, error) {
	var l api.Login
	s, _, err := doc.Open(raw, api.LoginType, api.MaxLogin, a.Keys())
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	if err := doc.Decode(s.Body, &l); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	if len(l.Nonce) != api.NonceSize {
		return Entry{}, fmt.Errorf("%w: nonce of %d bytes", ErrLogin, len(l.Nonce))
	}
	nonce := Nonce(l.Nonce)
	if !v.Challenges.Take(nonce) {
		return Entry{}, fmt.Errorf("%w: nonce is not known, used or too old", ErrLogin)
	}
	ekm, err := api.LoginExporter(cs, l.Nonce)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	return Entry{nonce, s.Sigs[0].Key}, v.bound(l, ekm)
}

// bound compares what was signed with what this end of the connection sees.
func (v Verifier) bound(l api.Login, ekm []byte) error {
	skew := v.Now().Sub(time.Unix(l.Time, 0)).Abs()
	switch {
	case l.V != 1 || l.Audience != api.Audience:
		return fmt.Errorf("%w: for %q version %d, want %q version 1", ErrLogin, l.Audience, l.V, api.Audience)
	case subtle.ConstantTimeCompare(l.SPKI, v.SPKI[:]) != 1:
		return fmt.Errorf("%w: made for a server with another key", ErrLogin)
	case subtle.ConstantTimeCompare(l.EKM, ekm) != 1:
		return fmt.Errorf("%w: made on another connection", ErrLogin)
	case skew > MaxSkew:
		return fmt.Errorf("%w: clocks differ by %s, limit %s", ErrLogin, skew.Round(time.Second), MaxSkew)
	}
	return nil
}

package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// ErrToken is wrapped when a token is not good, whatever the reason.
var ErrToken = errors.New("token is not valid")

const (
	tokenSize   = 32
	tokenPrefix = "tokens/" // and the hex of the token's SHA-256
)

// Tokens are the logins in force, kept in the store.
type Tokens struct {
	Docs store.Docs
	Life time.Duration
	Now  func() time.Time
}

// session is what is kept of a token.
type session struct {
	V        uint8     `cbor:"1,keyasint"`
	UID      chain.UID `cbor:"2,keyasint"`
	NotAfter int64     `cbor:"3,keyasint"` // Unix milliseconds
	Nonce    []byte    `cbor:"4,keyasint"` // of the login
	EKM      []byte    `cbor:"5,keyasint"` // SHA-256 of the exporter value for that nonce
	Device   doc.KeyID `cbor:"6,keyasint"` // whose signature the login had
	Created  int64     `cbor:"7,keyasint"` // Unix milliseconds
}

// Issue makes a token for u after the login e, good on the connection cs.
func (t Tokens) Issue(ctx context.Context, u chain.UID, cs *tls.ConnectionState, e Entry) (string, error) {
	ekm, err := api.LoginExporter(cs, e.Nonce[:])
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(ekm)
	body, err := doc.Encode(session{V: 2, UID: u, NotAfter: t.Now().Add(t.Life).UnixMilli(), Nonce: e.Nonce[:], EKM: sum[:],
		Device: e.Device, Created: t.Now().UnixMilli()})
	if err != nil {
		return "", err
	}
	var raw [tokenSize]byte
	_, _ = rand.Read(raw[:]) // never fails: see crypto/rand
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	_, err = t.Docs.Put(ctx, keyOf(token), body, 0)
	return token, err
}

// Check finds whose token it is. It must be the one of this connection. Errors
// wrap ErrToken, or are those of the store.
func (t Tokens) Check(ctx context.Context, token string, cs *tls.ConnectionState) (Session, error) {
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(raw) != tokenSize {
		return Session{}, fmt.Errorf("%w: not a token", ErrToken)
	}
	s, _, err := t.find(ctx, token)
	if err != nil {
		return Session{}, err
	}
	if t.Now().UnixMilli() >= s.NotAfter {
		return Session{}, fmt.Errorf("%w: expired", ErrToken)
	}
	ekm, err := api.LoginExporter(cs, s.Nonce)
	if err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if sum := sha256.Sum256(ekm); subtle.ConstantTimeCompare(sum[:], s.EKM) != 1 {
		return Session{}, fmt.Errorf("%w: it belongs to another connection", ErrToken)
	}
	return s.session(keyOf(token)), nil
}

// Revoke forgets a token.
func (t Tokens) Revoke(ctx context.Context, token string) error {
	_, rev, err := t.find(ctx, token)
	if errors.Is(err, ErrToken) {
		return nil
	}
	if err != nil {
		return err
	}
	return gone(t.Docs.Delete(ctx, keyOf(token), rev))
}

// Sweep forgets the tokens that have expired and says how many.
func (t Tokens) Sweep(ctx context.Context) (int, error) {
	n := 0
	for d, err := range t.Docs.List(ctx, tokenPrefix) {
		if err != nil {
			return n, err
		}
		var s session
		if doc.Decode(d.Body, &s) == nil && t.Now().UnixMilli() < s.NotAfter {
			continue
		}
		if err := gone(t.Docs.Delete(ctx, d.Key, d.Rev)); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// find looks a token up by its hash. An attacker who could time the look-up
// would learn about hashes of his own making.
func (t Tokens) find(ctx context.Context, token string) (s session, rev store.Rev, err error) {
	d, err := t.Docs.Get(ctx, keyOf(token))
	if errors.Is(err, store.ErrNotFound) {
		return s, 0, fmt.Errorf("%w: not known", ErrToken)
	}
	if err != nil {
		return s, 0, err
	}
	if err := doc.Decode(d.Body, &s); err != nil {
		return s, 0, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return s, d.Rev, nil
}

func keyOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return tokenPrefix + hex.EncodeToString(sum[:])
}

func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

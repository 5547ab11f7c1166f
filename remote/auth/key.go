package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Bounds of API keys.
const (
	MaxKeyLife  = 90 * 24 * time.Hour
	MaxOverlap  = 7 * 24 * time.Hour // of the old secret after a rotation
	MaxKeys     = 32                 // of one account
	MaxScopes   = 64
	MaxNetworks = 16
	maxKeyName  = 64 // bytes
)

// KeyPrefix starts every API key, for programs that look for leaked ones.
const KeyPrefix = "cdk1_"

const (
	keysPrefix = "apikeys/"
	keyIDSize  = 10 // bytes; 16 characters
	usedEvery  = time.Minute
)

// ErrKey is wrapped when an API key cannot be made as asked.
var ErrKey = errors.New("API key is not valid")

// ErrTooManyKeys is wrapped when an account has MaxKeys already.
var ErrTooManyKeys = errors.New("the account has as many API keys as it may have")

// Key is an API key without its secret: a bearer credential of an account, for
// a script that has no vault. Whoever has it can do what its scopes say, from
// the networks it names, until NotAfter. It is bound to no connection.
type Key struct {
	ID       string
	Owner    chain.UID
	Name     string
	Scopes   []Scope
	Networks []string // CIDR; none: from anywhere
	Created  time.Time
	NotAfter time.Time
	LastUsed time.Time // to a minute; zero: never
	Rotating time.Time // until when the secret before is good too; zero: it is not
	Device   doc.KeyID // that made or rotated it; zero: made before this was kept
}

// Allows reports whether the scopes of k cover op in a project.
func (k *Key) Allows(op string, project id.ID) bool {
	return slices.ContainsFunc(k.Scopes, func(c Scope) bool { return c.allows(op, project) })
}

// keyRecord is what is kept of a key: of its secret the SHA-256, which is enough
// for 256 random bits.
type keyRecord struct {
	V        uint8     `cbor:"1,keyasint"`
	Owner    chain.UID `cbor:"2,keyasint"`
	Name     string    `cbor:"3,keyasint"`
	Scopes   []Scope   `cbor:"4,keyasint"`
	Networks []string  `cbor:"5,keyasint"`
	Created  int64     `cbor:"6,keyasint"` // Unix milliseconds, as all times here
	NotAfter int64     `cbor:"7,keyasint"`
	LastUsed int64     `cbor:"8,keyasint"`
	Hash     [32]byte  `cbor:"9,keyasint"`
	Old      [32]byte  `cbor:"10,keyasint"`
	OldUntil int64     `cbor:"11,keyasint"`
	Device   doc.KeyID `cbor:"12,keyasint,omitzero"`
}

// Keys are the API keys in the store.
type Keys struct {
	Docs store.Docs
	Now  func() time.Time
}

// IsKey reports whether a bearer is meant to be an API key.
func IsKey(bearer string) bool { return strings.HasPrefix(bearer, KeyPrefix) }

// New makes a key as k says (Owner, Device, Name, Scopes, Networks, NotAfter). The
// bearer is given here and never again. Errors wrap ErrKey or ErrTooManyKeys.
func (s Keys) New(ctx context.Context, k Key) (Key, string, error) {
	if err := s.check(k); err != nil {
		return Key{}, "", err
	}
	have, err := s.Of(ctx, k.Owner)
	if err != nil {
		return Key{}, "", err
	}
	if len(have) >= MaxKeys {
		return Key{}, "", fmt.Errorf("%w: %d; revoke one", ErrTooManyKeys, MaxKeys)
	}
	var raw [keyIDSize]byte
	_, _ = rand.Read(raw[:]) // never fails: see crypto/rand
	k.ID = text(raw[:])
	secret, hash := newSecret()
	r := keyRecord{V: 1, Owner: k.Owner, Name: k.Name, Scopes: k.Scopes, Networks: append([]string{}, k.Networks...),
		Created: s.Now().UnixMilli(), NotAfter: k.NotAfter.UnixMilli(), Hash: hash, Device: k.Device}
	body, err := doc.Encode(r)
	if err != nil {
		return Key{}, "", err
	}
	if _, err := s.Docs.Put(ctx, keysPrefix+k.ID, body, 0); err != nil {
		return Key{}, "", err
	}
	return r.key(k.ID), bearer(k.ID, secret), nil
}

func (s Keys) check(k Key) error {
	life := k.NotAfter.Sub(s.Now())
	switch {
	case k.Name == "" || len(k.Name) > maxKeyName || !utf8.ValidString(k.Name):
		return fmt.Errorf("%w: name: want 1 to %d bytes of text", ErrKey, maxKeyName)
	case len(k.Scopes) == 0 || len(k.Scopes) > MaxScopes:
		return fmt.Errorf("%w: scopes: %d, want 1 to %d", ErrKey, len(k.Scopes), MaxScopes)
	case len(k.Networks) > MaxNetworks:
		return fmt.Errorf("%w: networks: %d, limit %d", ErrKey, len(k.Networks), MaxNetworks)
	case life <= 0 || life > MaxKeyLife:
		return fmt.Errorf("%w: not_after: want a time within %d days", ErrKey, int(MaxKeyLife/(24*time.Hour)))
	}
	for _, c := range k.Scopes {
		if err := c.check(); err != nil {
			return err
		}
	}
	for _, n := range k.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			return fmt.Errorf("%w: network %q: want one such as 192.0.2.0/24", ErrKey, n)
		}
	}
	return nil
}

// Of lists the keys of an account, expired ones too.
func (s Keys) Of(ctx context.Context, u chain.UID) ([]Key, error) {
	out := []Key{}
	for d, err := range s.Docs.List(ctx, keysPrefix) {
		if err != nil {
			return nil, err
		}
		var r keyRecord
		if doc.Decode(d.Body, &r) == nil && r.Owner == u {
			out = append(out, r.key(strings.TrimPrefix(d.Key, keysPrefix)))
		}
	}
	return out, nil
}

// Check finds the key of a bearer that comes from an address (host:port).
// Errors wrap ErrToken, or are those of the store.
func (s Keys) Check(ctx context.Context, b, from string) (*Key, error) {
	name, secret, ok := strings.Cut(strings.TrimPrefix(b, KeyPrefix), "_")
	if !ok || !IsKey(b) || store.CheckKey(name) != nil {
		return nil, fmt.Errorf("%w: not an API key", ErrToken)
	}
	r, rev, err := s.get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: API key %s is not known", ErrToken, name)
	}
	if err != nil {
		return nil, err
	}
	now, hash := s.Now().UnixMilli(), sha256.Sum256([]byte(secret))
	good := subtle.ConstantTimeCompare(hash[:], r.Hash[:]) == 1
	old := subtle.ConstantTimeCompare(hash[:], r.Old[:]) == 1 && now < r.OldUntil
	switch {
	case !good && !old:
		return nil, fmt.Errorf("%w: API key %s: wrong secret", ErrToken, name)
	case now >= r.NotAfter:
		return nil, fmt.Errorf("%w: API key %s: expired", ErrToken, name)
	case !within(r.Networks, from):
		return nil, fmt.Errorf("%w: API key %s: not from this network", ErrToken, name)
	}
	if now-r.LastUsed >= usedEvery.Milliseconds() {
		r.LastUsed = now
		if err := gone(s.put(ctx, name, r, rev)); err != nil { // another request may have noted it
			return nil, err
		}
	}
	k := r.key(name)
	return &k, nil
}

// Rotate gives a key of u a new secret; the one before stays good for overlap. The
// key is then one of the device that asked.
func (s Keys) Rotate(ctx context.Context, u chain.UID, device doc.KeyID, name string, overlap time.Duration) (Key, string, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Key{}, "", fmt.Errorf("%w: overlap: want 0 to %s", ErrKey, MaxOverlap)
	}
	for {
		r, rev, err := s.mine(ctx, u, name)
		if err != nil {
			return Key{}, "", err
		}
		secret, hash := newSecret()
		r.Old, r.OldUntil, r.Hash, r.Device = r.Hash, s.Now().Add(overlap).UnixMilli(), hash, device
		if err := s.put(ctx, name, r, rev); !errors.Is(err, store.ErrConflict) {
			return r.key(name), bearer(name, secret), err
		}
	}
}

// Revoke ends a key of u at once.
func (s Keys) Revoke(ctx context.Context, u chain.UID, name string) error {
	for {
		_, rev, err := s.mine(ctx, u, name)
		if err != nil {
			return err
		}
		// A request may note the last use meanwhile: then its revision is newer.
		if err := s.Docs.Delete(ctx, keysPrefix+name, rev); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// mine is a key of u; store.ErrNotFound for that of another account too.
func (s Keys) mine(ctx context.Context, u chain.UID, name string) (r keyRecord, rev store.Rev, err error) {
	if store.CheckKey(name) == nil {
		r, rev, err = s.get(ctx, name)
	}
	if err == nil && r.Owner != u || rev == 0 && err == nil {
		err = fmt.Errorf("API key %q: %w", name, store.ErrNotFound)
	}
	return r, rev, err
}

func (s Keys) get(ctx context.Context, name string) (r keyRecord, rev store.Rev, err error) {
	d, err := s.Docs.Get(ctx, keysPrefix+name)
	if err != nil {
		return r, 0, err
	}
	if err := doc.Decode(d.Body, &r); err != nil {
		return r, 0, fmt.Errorf("API key %s: %w: %w", name, store.ErrCorrupt, err)
	}
	return r, d.Rev, nil
}

func (s Keys) put(ctx context.Context, name string, r keyRecord, rev store.Rev) error {
	body, err := doc.Encode(r)
	if err == nil {
		_, err = s.Docs.Put(ctx, keysPrefix+name, body, rev)
	}
	return err
}

func (r keyRecord) key(name string) Key {
	k := Key{ID: name, Owner: r.Owner, Device: r.Device, Name: r.Name, Scopes: r.Scopes, Networks: r.Networks,
		Created: time.UnixMilli(r.Created), NotAfter: time.UnixMilli(r.NotAfter)}
	if r.LastUsed > 0 {
		k.LastUsed = time.UnixMilli(r.LastUsed)
	}
	if r.OldUntil > 0 {
		k.Rotating = time.UnixMilli(r.OldUntil)
	}
	return k
}

// within reports whether an address is in one of the networks, if there are any.
func within(networks []string, from string) bool {
	if len(networks) == 0 {
		return true
	}
	a, err := netip.ParseAddrPort(from)
	return err == nil && slices.ContainsFunc(networks, func(n string) bool {
		p, err := netip.ParsePrefix(n)
		return err == nil && p.Contains(a.Addr().Unmap().WithZone(""))
	})
}

func newSecret() (string, [32]byte) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: see crypto/rand
	s := text(raw[:])
	return s, sha256.Sum256([]byte(s))
}

func bearer(name, secret string) string { return KeyPrefix + name + "_" + secret }

func text(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

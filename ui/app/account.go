package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/secret"
	"cipherdeck/crypto/words"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// KeyFacts is what can be shown of an identity's keys.
type KeyFacts struct {
	Name     string `json:"name"`
	UID      string `json:"uid"`
	RSABits  int    `json:"rsa_bits"`
	RSA      string `json:"rsa_key_id"`
	XWing    string `json:"xwing_key_id"`
	Device   string `json:"ed25519_key_id"`
	Typed    bool   `json:"typed"`    // follows from a typed secret
	Imported bool   `json:"imported"` // the RSA key was made elsewhere
	Words    string `json:"words"`    // of the user id: the same wherever this identity is
}

// KeyFacts describes the identity of the open vault.
func (a *App) KeyFacts() (KeyFacts, error) {
	_, me, err := a.opened()
	if err != nil {
		return KeyFacts{}, err
	}
	pub := me.Pair.Public()
	r, err := pub.RSAKeyID()
	if err != nil {
		return KeyFacts{}, err
	}
	d, err := doc.KeyIDOf(me.Device.Public().(ed25519.PublicKey))
	if err != nil {
		return KeyFacts{}, err
	}
	typed, err := a.ownCheck()
	if err != nil {
		return KeyFacts{}, err
	}
	imported := false
	if err := a.view(func(s vault.State) { imported = s.Account.Imported }); err != nil {
		return KeyFacts{}, err
	}
	return KeyFacts{Name: me.Account.Name, UID: me.Account.UID.String(), RSABits: pub.RSA.N.BitLen(), RSA: r.String(), XWing: pub.XWingKeyID().String(),
		Device: d.String(), Typed: typed != nil, Imported: imported, Words: words.Fingerprint(me.Account.UID[:])}, nil
}

// ownCheck is the check value in the vault; nil for an identity that follows
// from no typed secret.
func (a *App) ownCheck() (*secret.Check, error) {
	var raw []byte
	if err := a.view(func(s vault.State) { raw = bytes.Clone(s.Account.Check) }); err != nil || len(raw) == 0 {
		return nil, err
	}
	c, err := secret.OpenCheck(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrDamaged, err)
	}
	return &c, nil
}

// errDrawn says why there is no check value.
func errDrawn() error {
	return fmt.Errorf("%w: this identity follows from no typed secret, so there is nothing to check", ErrInput)
}

// WriteCheck writes the check value once more: to out, or beside the vault when
// that is empty. A file that has it already is left alone. It returns the path.
func (a *App) WriteCheck(out string, force bool) (string, error) {
	c, err := a.ownCheck()
	if err != nil {
		return "", err
	}
	if c == nil {
		return "", errDrawn()
	}
	if out == "" {
		out = a.checkPath(c.Account)
	}
	have, err := readSmall(out, secret.MaxCheck)
	if err == nil && bytes.Equal(have, c.Raw) {
		return out, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrInput) {
		return "", err
	}
	return out, writeCheck(out, c.Raw, force)
}

// PublishCheck gives a pinned server the check value, for the next machine to
// compare with.
func (a *App) PublishCheck(ctx context.Context, server string) error {
	c, err := a.store(server)
	if err != nil {
		return err
	}
	k, err := a.ownCheck()
	if err != nil {
		return err
	}
	if k == nil {
		return errDrawn()
	}
	if err := c.Enrol(ctx); err != nil {
		return err
	}
	return c.PutCheck(ctx, *k)
}

// strengthen gives an account that an older program made its ML-DSA key, when
// it is first needed: a vault that is only read stays as it is.
func (a *App) strengthen() error {
	var has int
	if err := a.view(func(s vault.State) { has = len(s.Account.Links) }); err != nil || has > 0 {
		return err
	}
	return a.changeAccount(func(acc vault.Account) (vault.Account, error) {
		done, _, err := account.Complete(acc, a.Now())
		return done, err
	})
}

// changeAccount saves what f makes of my account, and is that from now on:
// connections that were opened as it was before are not used for anything new.
func (a *App) changeAccount(f func(vault.Account) (vault.Account, error)) error {
	var me *account.Me
	err := a.update(func(s *vault.State) (err error) {
		if s.Account, err = f(s.Account); err == nil {
			me, err = account.Load(s.Account)
		}
		return err
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.me = me
	for k, c := range a.clients {
		a.retired = append(a.retired, c)
		delete(a.clients, k)
	}
	return nil
}

// enrol makes my account known to the server and, when it follows from a typed
// secret, publishes the check value. A server that has no room for it or does
// not know check values is as good for everything else.
func (a *App) enrol(ctx context.Context, c *api.Client) error {
	if err := c.Enrol(ctx); err != nil {
		return err
	}
	k, err := a.ownCheck()
	if err != nil || k == nil {
		return err
	}
	err = c.PutCheck(ctx, *k)
	if errors.Is(err, api.ErrConflict) || errors.Is(err, api.ErrNotFound) {
		return nil
	}
	return err
}

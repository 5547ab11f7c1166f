package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// waiting is a vault that opened and holds no account yet.
type waiting struct {
	vault *vault.Vault
	by    Way
}

// Request is a machine's request to belong to an account.
type Request struct {
	UID    string `json:"account"`
	Device string `json:"device"`
	Name   string `json:"name"`
	Words  string `json:"words"` // the other machine must show the same
	File   string `json:"file,omitempty"`
	Vault  string `json:"vault,omitempty"`
}

func requestOf(raw []byte, d chain.Device, u chain.UID) Request {
	return Request{UID: u.String(), Device: d.ID.String(), Name: d.Name, Words: account.RequestWords(u, raw)}
}

// keepWaiting holds a vault that opened without an account, for those few who
// can do something with it, and says what it waits for.
func (a *App) keepWaiting(v *vault.Vault, by Way, acc vault.Account, why error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting != nil {
		a.waiting.vault.Close()
	}
	a.waiting = &waiting{v, by}
	_, d, u, err := account.Asking(acc)
	if err != nil {
		return errors.Join(why, err)
	}
	return fmt.Errorf("%w: %q asks for account %s and waits for the answer of another machine of it", why, d.Name, u)
}

// openWaiting opens the vault of a machine that waits. The error wraps
// account.ErrMember when it waits for nothing.
func (a *App) openWaiting(ctx context.Context) (*waiting, error) {
	_, err := a.UnlockAsking(ctx)
	if err == nil {
		return nil, account.ErrMember
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(err, account.ErrWaiting) && a.waiting != nil {
		return a.waiting, nil
	}
	return nil, err
}

// RequestDevice makes a vault for a machine that is to belong to account u, and
// writes the request to out. The vault holds the keys of this machine and nothing
// else until FinishDevice.
func (a *App) RequestDevice(ctx context.Context, u chain.UID, name, out string, keyring bool) (Request, error) {
	for _, p := range []string{a.vaultPath(), out} {
		if _, err := os.Lstat(p); err == nil {
			return Request{}, fmt.Errorf("%w: %s", vault.ErrExists, p)
		}
	}
	acc, err := account.NewDevice(rand.Reader, u, name)
	if err != nil {
		return Request{}, err
	}
	pass, err := a.Ask(ctx, "New passphrase", true)
	if err != nil {
		return Request{}, err
	}
	defer clear(pass)
	if err := vault.CheckPassphrase(pass); err != nil {
		return Request{}, err
	}
	v, err := a.newVault(acc, pass, keyring)
	if err != nil {
		return Request{}, err
	}
	if _, err := a.adopt(v, WayPassphrase); !errors.Is(err, account.ErrWaiting) {
		return Request{}, err
	}
	return a.writeRequest(acc, out, false)
}

// ShowRequest is the request of a machine that waits; with out it is written
// there once more.
func (a *App) ShowRequest(ctx context.Context, out string, force bool) (Request, error) {
	w, err := a.openWaiting(ctx)
	if err != nil {
		return Request{}, err
	}
	var acc vault.Account
	w.vault.View(func(s vault.State) { acc = s.Account })
	return a.writeRequest(acc, out, force)
}

func (a *App) writeRequest(acc vault.Account, out string, force bool) (Request, error) {
	raw, d, u, err := account.Asking(acc)
	if err != nil {
		return Request{}, err
	}
	r := requestOf(raw, d, u)
	r.Vault, r.File = a.vaultPath(), out
	if out == "" {
		return r, nil
	}
	return r, seal.WriteFile(out, force, func(w io.Writer) error { _, err := w.Write(raw); return err })
}

// FinishDevice takes the answer that another machine of the account wrote. A
// machine that waited becomes a full one; one that belongs to the account already
// gets newer keys of the account from it, and keeps everything else of its own.
func (a *App) FinishDevice(ctx context.Context, file string) (Identity, error) {
	raw, err := readSmall(file, account.MaxAnswer)
	if err != nil {
		return Identity{}, err
	}
	w, err := a.openWaiting(ctx)
	if errors.Is(err, account.ErrMember) {
		if err := a.changeAccount(func(mine vault.Account) (vault.Account, error) {
			st, err := account.Finish(mine, raw)
			return st.Account, err
		}); err != nil {
			return Identity{}, err
		}
		return a.WhoAmI()
	}
	if err != nil {
		return Identity{}, err
	}
	err = w.vault.Update(func(s *vault.State) error {
		st, err := account.Finish(s.Account, raw)
		if err == nil {
			*s = st
		}
		return err
	})
	if err != nil {
		return Identity{}, err
	}
	a.mu.Lock()
	a.waiting = nil
	a.mu.Unlock()
	a.noteSeen(w.vault, true)
	return a.adopt(w.vault, w.by)
}

package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"

	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// Identity is who the vault's owner is.
type Identity struct {
	Name  string   `json:"name"`
	UID   string   `json:"uid"`
	Vault string   `json:"vault"`
	Slots []string `json:"slots"`
	By    string   `json:"opened_by,omitempty"`
}

// InitVault creates the vault of a new identity called name, opened by
// passphrase and, if keyring is set, by the OS keyring as well. It stays open.
func (a *App) InitVault(ctx context.Context, name string, passphrase []byte, keyring bool) (Identity, error) {
	if _, err := os.Lstat(a.vaultPath()); err == nil {
		return Identity{}, fmt.Errorf("%w: %s", vault.ErrExists, a.vaultPath())
	}
	acc, err := account.New(ctx, rand.Reader, name, 3072)
	if err != nil {
		return Identity{}, err
	}
	return a.createVault(acc, passphrase, keyring)
}

// createVault makes the vault of an identity.
func (a *App) createVault(acc vault.Account, passphrase []byte, keyring bool) (Identity, error) {
	v, err := a.newVault(acc, passphrase, keyring)
	if err != nil {
		return Identity{}, err
	}
	return a.adopt(v, WayPassphrase)
}

func (a *App) newVault(acc vault.Account, passphrase []byte, keyring bool) (*vault.Vault, error) {
	if err := os.MkdirAll(a.cfg.Home, 0o700); err != nil {
		return nil, err
	}
	slots := []vault.NewSlot{vault.PassphraseSlot(passphrase, keys.Calibrate(a.cfg.Unlock))}
	if keyring {
		slots = append(slots, vault.KeyringSlot(a.keyring("")))
	}
	return vault.Create(a.vaultPath(), vault.State{Account: acc}, slots...)
}

// Unlock opens the vault: by the way that the configuration names, or by the
// first that works. pass gives the passphrase, if it comes to that.
func (a *App) Unlock(ctx context.Context, pass func(context.Context) ([]byte, error)) (Identity, error) {
	if id, err := a.WhoAmI(); err == nil {
		return id, nil
	}
	slots, err := vault.Slots(a.vaultPath())
	if err != nil {
		return Identity{}, err
	}
	closes := a.timesClosed()
	v, by, err := a.openBy(ctx, slots, pass)
	if err != nil {
		return Identity{}, err
	}
	return a.adoptUnless(closes, v, by)
}

// UnlockTyped opens the vault with what a person typed, and with nothing else:
// who is asked at a locked screen must not find that any word opens it because
// a keyring does.
func (a *App) UnlockTyped(ctx context.Context, typed []byte) (Identity, error) {
	slots, err := vault.Slots(a.vaultPath())
	if err != nil {
		return Identity{}, err
	}
	pass := func(context.Context) ([]byte, error) { return bytes.Clone(typed), nil }
	closes := a.timesClosed()
	v, by, err := a.openAsking(ctx, slots, pass)
	if err != nil {
		return Identity{}, err
	}
	return a.adoptUnless(closes, v, by)
}

// Asks is what a person will be asked for to open the vault, in words for a
// label.
func (a *App) Asks() string {
	slots, err := vault.Slots(a.vaultPath())
	if err != nil {
		return labelOf(vault.SlotPassphrase)
	}
	for _, t := range asking() {
		if slotOf(slots, t) >= 0 {
			return labelOf(t)
		}
	}
	return labelOf(vault.SlotPassphrase)
}

func labelOf(t vault.SlotType) string {
	switch t {
	case vault.SlotTPM:
		return "PIN of the TPM"
	case vault.SlotPKCS11:
		return "PIN of the token"
	case vault.SlotBoth:
		return "Passphrase (with the OS keyring)"
	}
	return "Passphrase"
}

// UnlockAsking is Unlock with the App's way to ask for a passphrase.
func (a *App) UnlockAsking(ctx context.Context) (Identity, error) {
	return a.Unlock(ctx, a.askPass)
}

// Ask gets a passphrase from whoever sits there.
func (a *App) Ask(ctx context.Context, prompt string, twice bool) ([]byte, error) {
	if a.cfg.Ask == nil {
		return nil, ErrLocked
	}
	return a.cfg.Ask(ctx, prompt, twice)
}

// AskText gets something that is no secret and may be seen while it is typed.
func (a *App) AskText(ctx context.Context, prompt string) ([]byte, error) {
	if a.cfg.AskText == nil {
		return nil, fmt.Errorf("%w: %s cannot be asked for here", ErrInput, prompt)
	}
	return a.cfg.AskText(ctx, prompt, false)
}

// AskPIN gets the PIN of a device that has one already.
func (a *App) AskPIN(ctx context.Context, prompt string) ([]byte, error) {
	return a.askPIN(ctx, prompt, a.askPass)
}

// AskNew gets a new secret from whoever sits there, typed twice. It is not
// what unlocked the vault: a face that was handed one passphrase for everything
// asks for this one apart.
func (a *App) AskNew(ctx context.Context, prompt string) ([]byte, error) {
	if a.cfg.AskNew != nil {
		return a.cfg.AskNew(ctx, prompt, true)
	}
	return a.Ask(ctx, prompt, true)
}

// ForgetKeyring removes the vault's slot for the OS keyring, and then its entry
// there.
func (a *App) ForgetKeyring(ctx context.Context) error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	slots := v.Slots()
	i := slotOf(slots, vault.SlotKeyring)
	if i < 0 {
		return fmt.Errorf("%w: OS keyring", vault.ErrNoSlot)
	}
	if err := v.RemoveSlot(slots[i].ID); err != nil {
		return err
	}
	return a.keyring(slots[i].Entry).Delete(ctx)
}

// WhoAmI is the open vault's identity.
func (a *App) WhoAmI() (Identity, error) {
	_, me, err := a.opened()
	if err != nil {
		return Identity{}, err
	}
	a.mu.Lock()
	by := a.by
	a.mu.Unlock()
	return a.identity(me, by)
}

// timesClosed is how often the App was locked.
func (a *App) timesClosed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closes
}

// adoptUnless is adopt, unless the App was locked while the vault was being
// opened, which takes a second: a machine that slept meanwhile wakes up locked.
func (a *App) adoptUnless(closes int, v *vault.Vault, by Way) (Identity, error) {
	if a.timesClosed() != closes {
		v.Close()
		return Identity{}, fmt.Errorf("%w: it was locked while it was being opened", ErrLocked)
	}
	return a.adopt(v, by)
}

func (a *App) adopt(v *vault.Vault, by Way) (Identity, error) {
	var acc vault.Account
	v.View(func(s vault.State) { acc = s.Account })
	me, err := account.Load(acc)
	if errors.Is(err, account.ErrWaiting) {
		return Identity{}, a.keepWaiting(v, by, acc, err)
	}
	if err != nil {
		v.Close()
		return Identity{}, err
	}
	a.noticeRollback(v)
	a.noteSeen(v, false)
	a.mu.Lock()
	a.vault, a.me, a.by = v, me, by
	a.mu.Unlock()
	return a.identity(me, by)
}

func (a *App) identity(me *account.Me, by Way) (Identity, error) {
	slots, err := vault.Slots(a.vaultPath())
	out := Identity{Name: me.Account.Name, UID: me.Account.UID.String(), Vault: a.vaultPath(), By: string(by)}
	for _, s := range slots {
		out.Slots = append(out.Slots, s.Type.String())
	}
	return out, err
}

// keyring is the entry of the OS keyring; "" picks a name that is not in use.
func (a *App) keyring(entry string) vault.Keyring {
	if a.cfg.Keyring != nil {
		return a.cfg.Keyring
	}
	return vault.OSKeyring(entry)
}

func slotOf(slots []vault.SlotInfo, t vault.SlotType) int {
	return slices.IndexFunc(slots, func(s vault.SlotInfo) bool { return s.Type == t })
}

// keyringFailed tells a keyring that cannot help from a vault that is broken.
func keyringFailed(err error) bool {
	return errors.Is(err, vault.ErrKeyring) || errors.Is(err, vault.ErrKeyringMismatch)
}

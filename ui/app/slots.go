package app

import (
	"context"
	"fmt"

	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
)

// Slots lists the ways to unlock the vault, as they were at the last unlock.
func (a *App) Slots() ([]vault.SlotInfo, error) {
	v, _, err := a.opened()
	if err != nil {
		return nil, err
	}
	return v.Slots(), nil
}

// AddRecovery adds a recovery code to the vault and returns the page to print.
// The code is nowhere else.
func (a *App) AddRecovery(ctx context.Context) (string, error) {
	v, _, err := a.opened()
	if err != nil {
		return "", err
	}
	code := vault.NewRecoveryCode()
	defer clear(code)
	if _, err := v.AddSlot(ctx, vault.RecoverySlot(code)); err != nil {
		return "", err
	}
	return v.Kit(code)
}

// AddShares adds a slot that need of n people open together and returns what
// each of them keeps.
func (a *App) AddShares(ctx context.Context, need, n int) ([]string, error) {
	v, _, err := a.opened()
	if err != nil {
		return nil, err
	}
	g := vault.NewGroup(need, n)
	if _, err := v.AddSlot(ctx, g.Slot()); err != nil {
		return nil, err
	}
	return g.Shares(), nil
}

// AddKeyring lets the OS keyring open the vault. With pass set, only the
// keyring and that passphrase together do.
func (a *App) AddKeyring(ctx context.Context, pass []byte) (vault.SlotInfo, error) {
	v, _, err := a.opened()
	if err != nil {
		return vault.SlotInfo{}, err
	}
	if pass != nil {
		return v.AddSlot(ctx, vault.KeyringAndPassphraseSlot(a.keyring(""), pass, keys.DefaultArgon2id()))
	}
	return v.AddSlot(ctx, vault.KeyringSlot(a.keyring("")))
}

// ChangePassphrase puts a new passphrase in the place of the vault's first one,
// or adds one when there is none.
func (a *App) ChangePassphrase(ctx context.Context, pass []byte) (vault.SlotInfo, error) {
	v, _, err := a.opened()
	if err != nil {
		return vault.SlotInfo{}, err
	}
	slot := vault.PassphraseSlot(pass, keys.DefaultArgon2id())
	slots := v.Slots()
	if i := slotOf(slots, vault.SlotPassphrase); i >= 0 {
		return v.ReplaceSlot(ctx, slots[i].ID, slot)
	}
	return v.AddSlot(ctx, slot)
}

// RemoveSlot takes a way to unlock away, and its entry from the OS keyring.
func (a *App) RemoveSlot(ctx context.Context, id string) error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	entry := ""
	for _, s := range v.Slots() {
		if s.ID == id {
			entry = s.Entry
		}
	}
	if err := v.RemoveSlot(id); err != nil {
		return err
	}
	if entry == "" {
		return nil
	}
	return a.keyring(entry).Delete(ctx)
}

// Recover opens the vault with a recovery code, or with shares of a group.
func (a *App) Recover(ctx context.Context, words []string) (Identity, error) {
	if len(words) == 0 {
		return Identity{}, fmt.Errorf("%w: no code and no share was given", ErrInput)
	}
	by, u := "recovery code", vault.Recovery([]byte(words[0]))
	if _, err := vault.ReadShare(words[0]); err == nil {
		by, u = "shares", vault.Shares(words...)
	}
	v, err := vault.Open(ctx, a.vaultPath(), u)
	if err != nil {
		return Identity{}, err
	}
	return a.adopt(v, by)
}

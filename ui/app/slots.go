package app

import (
	"context"
	"errors"
	"fmt"

	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
	"cipherdeck/vault/ageplugin"
	"cipherdeck/vault/pkcs11"
	"cipherdeck/vault/tpm"
)

// Slots lists the ways to unlock the vault: as they were at the last unlock, or,
// while it is locked, as its file says. That nobody vouches for, but who has
// forgotten his passphrase must see what else there is.
func (a *App) Slots() ([]vault.SlotInfo, error) {
	if v, _, err := a.opened(); err == nil {
		return v.Slots(), nil
	}
	return vault.Slots(a.vaultPath())
}

// put adds a slot, or puts it in the place of the one with the id replace.
func (a *App) put(ctx context.Context, replace string, n vault.NewSlot) (vault.SlotInfo, error) {
	v, _, err := a.opened()
	if err != nil {
		return vault.SlotInfo{}, err
	}
	if replace == "" {
		s, err := v.AddSlot(ctx, n)
		a.noteSeen(v, err == nil)
		return s, err
	}
	entry := entryIn(v.Slots(), replace)
	s, err := v.ReplaceSlot(ctx, replace, n)
	if err != nil {
		return s, err
	}
	a.noteSeen(v, true)
	a.deleteEntry(ctx, entry)
	return s, nil
}

// entryIn is the keyring entry of a slot, if it has one.
func entryIn(slots []vault.SlotInfo, id string) string {
	for _, s := range slots {
		if s.ID == id {
			return s.Entry
		}
	}
	return ""
}

// deleteEntry removes the entry of a slot that is gone. The slot is what counted
// and the vault is saved: that a keyring is broken is often why its slot goes,
// and an error now would hide what took its place, such as a new code.
func (a *App) deleteEntry(ctx context.Context, entry string) {
	if entry == "" {
		return
	}
	if err := a.keyring(entry).Delete(ctx); err != nil && !errors.Is(err, vault.ErrKeyringMissing) {
		a.notice(fmt.Sprintf("the slot is gone, but not its entry in the keyring, which opens older copies of the file only: %v", err))
	}
}

// notTheOnly refuses to put what is shown only afterwards in the place of the
// only way in: if it is not seen, nobody opens the vault again.
func notTheOnly(v *vault.Vault, replace string) error {
	if replace != "" && len(v.Slots()) == 1 {
		return fmt.Errorf("%w: slot %s is the only one; add the code or shares first, try them with vault test, then remove it", vault.ErrSlot, replace)
	}
	return nil
}

// AddRecovery adds a recovery code to the vault and returns the page to print.
// The code is nowhere else.
func (a *App) AddRecovery(ctx context.Context, replace string) (string, error) {
	v, _, err := a.opened()
	if err != nil {
		return "", err
	}
	if err := notTheOnly(v, replace); err != nil {
		return "", err
	}
	code := vault.NewRecoveryCode()
	defer clear(code)
	if _, err := a.put(ctx, replace, vault.RecoverySlot(code)); err != nil {
		return "", err
	}
	return v.Kit(code)
}

// AddShares adds a slot that need of n people open together and returns what
// each of them keeps.
func (a *App) AddShares(ctx context.Context, replace string, need, n int) ([]string, error) {
	v, _, err := a.opened()
	if err != nil {
		return nil, err
	}
	if err := notTheOnly(v, replace); err != nil {
		return nil, err
	}
	g := vault.NewGroup(need, n)
	if _, err := a.put(ctx, replace, g.Slot()); err != nil {
		return nil, err
	}
	return g.Shares(), nil
}

// SharePage is the page that the holder of a share keeps.
func (a *App) SharePage(share string) (string, error) {
	v, _, err := a.opened()
	if err != nil {
		return "", err
	}
	return v.ShareKit(share)
}

// AddKeyring lets the OS keyring open the vault. With pass set, only the
// keyring and that passphrase together do.
func (a *App) AddKeyring(ctx context.Context, replace string, pass []byte) (vault.SlotInfo, error) {
	if pass != nil {
		return a.put(ctx, replace, vault.KeyringAndPassphraseSlot(a.keyring(""), pass, keys.Calibrate(a.cfg.Unlock)))
	}
	return a.put(ctx, replace, vault.KeyringSlot(a.keyring("")))
}

// AddTPM lets the machine's TPM open the vault with a PIN, if asked for only in
// the state that Secure Boot is in now.
func (a *App) AddTPM(ctx context.Context, replace string, pin []byte, pcr7 bool) (vault.SlotInfo, error) {
	return a.put(ctx, replace, tpm.Slot(tpm.Device(a.cfg.Devices.TPM), pin, tpm.Options{PCR7: pcr7}))
}

// AddToken lets a key in a PKCS#11 token open the vault with a PIN. generate
// makes the key pair first.
func (a *App) AddToken(ctx context.Context, replace string, pin []byte, generate bool) (vault.SlotInfo, error) {
	o := a.cfg.Devices.PKCS11
	o.Generate = generate
	return a.put(ctx, replace, pkcs11.Slot(o, pin))
}

// Tokens says which PKCS#11 tokens a library shows, without a PIN.
func (a *App) Tokens(ctx context.Context) ([]pkcs11.Token, error) {
	return pkcs11.List(ctx, a.cfg.Devices.PKCS11)
}

// AddPlugin lets an age plugin open the vault. to is its recipient; "" takes the
// identity of the configuration.
func (a *App) AddPlugin(ctx context.Context, replace, to string) (vault.SlotInfo, error) {
	if to == "" {
		id, err := a.pluginIdentity()
		if err != nil {
			return vault.SlotInfo{}, err
		}
		defer clear(id)
		to = string(id)
	}
	return a.put(ctx, replace, ageplugin.Slot(to, a.pluginUI()))
}

// ChangePassphrase puts a new passphrase in the place of the vault's first one,
// or adds one when there is none.
func (a *App) ChangePassphrase(ctx context.Context, pass []byte) (vault.SlotInfo, error) {
	v, _, err := a.opened()
	if err != nil {
		return vault.SlotInfo{}, err
	}
	replace, slots := "", v.Slots()
	if i := slotOf(slots, vault.SlotPassphrase); i >= 0 {
		replace = slots[i].ID
	}
	return a.put(ctx, replace, vault.PassphraseSlot(pass, keys.Calibrate(a.cfg.Unlock)))
}

// RemoveSlot takes a way to unlock away, and its entry from the OS keyring.
func (a *App) RemoveSlot(ctx context.Context, id string) error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	entry := entryIn(v.Slots(), id)
	if err := v.RemoveSlot(id); err != nil {
		return err
	}
	a.noteSeen(v, true)
	a.deleteEntry(ctx, entry)
	return nil
}

// Recover opens the vault with a recovery code, or with shares of a group.
func (a *App) Recover(ctx context.Context, words []string) (Identity, error) {
	if len(words) == 0 {
		return Identity{}, fmt.Errorf("%w: no code and no share was given", ErrInput)
	}
	by, u := WayRecovery, vault.Recovery([]byte(words[0]))
	if _, err := vault.ReadShare(words[0]); err == nil {
		by, u = WayShares, vault.Shares(words...)
	}
	v, err := vault.Open(ctx, a.vaultPath(), u)
	if err != nil {
		return Identity{}, err
	}
	return a.adopt(v, by)
}

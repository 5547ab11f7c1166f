package app

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"cipherdeck/vault"
	"cipherdeck/vault/ageplugin"
	"cipherdeck/vault/pkcs11"
	"cipherdeck/vault/tpm"
)

// unlocker asks for what opens slot s. wipe overwrites what was asked for, once
// the slot is open.
func (a *App) unlocker(ctx context.Context, s vault.SlotInfo, pass func(context.Context) ([]byte, error)) (u vault.Unlocker, wipe func(), err error) {
	secret := func(b []byte, err error, made func([]byte) vault.Unlocker) (vault.Unlocker, func(), error) {
		if err != nil {
			return nil, nil, err
		}
		return made(b), func() { clear(b) }, nil
	}
	switch s.Type {
	case vault.SlotKeyring:
		return vault.FromKeyring(a.keyring(s.Entry)), func() {}, nil
	case vault.SlotPassphrase:
		pw, err := pass(ctx)
		return secret(pw, err, vault.Passphrase)
	case vault.SlotBoth:
		pw, err := pass(ctx)
		return secret(pw, err, func(b []byte) vault.Unlocker { return vault.KeyringAndPassphrase(a.keyring(s.Entry), b) })
	case vault.SlotTPM:
		pin, err := a.askPIN(ctx, "PIN of the TPM, slot "+s.ID, pass)
		return secret(pin, err, func(b []byte) vault.Unlocker { return vault.Only(s.ID, tpm.Unlocker(tpm.Device(a.cfg.Devices.TPM), b)) })
	case vault.SlotPKCS11:
		pin, err := a.askPIN(ctx, "PIN of the token, slot "+s.ID, pass)
		return secret(pin, err, func(b []byte) vault.Unlocker { return vault.Only(s.ID, pkcs11.Unlocker(a.cfg.Devices.PKCS11, b)) })
	case vault.SlotRecovery:
		code, err := a.askCode(ctx, "Recovery code")
		return secret(code, err, vault.Recovery)
	case vault.SlotGroup:
		shares, err := a.askShares(ctx, nil, s.Need)
		return vault.Shares(shares...), func() {}, err
	case vault.SlotAgePlugin:
		id, err := a.pluginIdentity()
		return secret(id, err, func(b []byte) vault.Unlocker { return vault.Only(s.ID, ageplugin.Unlocker(string(b), a.pluginUI())) })
	}
	return nil, nil, fmt.Errorf("%w: this program cannot open a slot of kind %s", ErrInput, s.Type)
}

func (a *App) askPIN(ctx context.Context, prompt string, pass func(context.Context) ([]byte, error)) ([]byte, error) {
	if a.cfg.AskPIN == nil {
		return pass(ctx)
	}
	return a.cfg.AskPIN(ctx, prompt, false)
}

// askCode gets something that is on paper.
func (a *App) askCode(ctx context.Context, prompt string) ([]byte, error) {
	if a.cfg.AskCode == nil {
		return nil, ErrLocked
	}
	return a.cfg.AskCode(ctx, prompt, false)
}

// AskPaper asks for a recovery code, or for a share and then for as many more as
// that one says are needed.
func (a *App) AskPaper(ctx context.Context) ([]string, error) {
	first, err := a.askCode(ctx, "Recovery code, or the first share")
	if err != nil {
		return nil, err
	}
	lines := []string{string(bytes.TrimSpace(first))}
	clear(first)
	s, err := vault.ReadShare(lines[0])
	if err != nil {
		return lines, nil // no share: whether it is a code, the vault says
	}
	return a.askShares(ctx, lines, s.Need)
}

// askShares asks for shares until there are need of them with those in have.
func (a *App) askShares(ctx context.Context, have []string, need int) ([]string, error) {
	for len(have) < need {
		next, err := a.askCode(ctx, fmt.Sprintf("Share %d of the %d that are needed", len(have)+1, need))
		if err != nil {
			return nil, err
		}
		have = append(have, string(bytes.TrimSpace(next)))
		clear(next)
	}
	return have, nil
}

// maxIdentity bounds the file of a plugin's identity.
const maxIdentity = 64 << 10

// pluginIdentity reads the first identity from the file, as age writes it.
func (a *App) pluginIdentity() ([]byte, error) {
	path := a.cfg.Devices.Identity
	if path == "" {
		return nil, fmt.Errorf("%w: an age plugin needs its identity: --identity FILE", ErrInput)
	}
	raw, err := readBounded(path, maxIdentity)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	for line := range bytes.Lines(raw) {
		if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("AGE-PLUGIN-")) {
			return bytes.Clone(line), nil
		}
	}
	return nil, fmt.Errorf("%w: %s has no line that begins with AGE-PLUGIN-", ErrInput, path)
}

func readBounded(path string, most int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > most {
		return nil, fmt.Errorf("%w: %s is not a file of at most %d bytes", ErrInput, path, most)
	}
	return os.ReadFile(path)
}

// pluginUI lets a plugin speak to whoever sits there.
func (a *App) pluginUI() ageplugin.UI {
	ui := ageplugin.UI{Message: func(plugin, text string) { a.notice("age plugin " + plugin + ": " + text) }}
	if a.cfg.AskPIN != nil {
		ui.Ask = func(ctx context.Context, plugin, prompt string, _ bool) ([]byte, error) {
			return a.cfg.AskPIN(ctx, "age plugin "+plugin+": "+prompt, false)
		}
	}
	return ui
}

// notice tells a person something that is no error.
func (a *App) notice(text string) {
	if a.cfg.Notice != nil {
		a.cfg.Notice(text)
	}
}

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"cipherdeck/vault"
	"cipherdeck/vault/agent"
	"cipherdeck/vault/ageplugin"
	"cipherdeck/vault/pkcs11"
	"cipherdeck/vault/tpm"
)

// Way names a way to open the vault. The empty one tries what asks nobody, in
// the order agent, kernel, keyring, and then asks for what the vault has a slot
// for.
type Way string

// The ways.
const (
	WayAgent      Way = "agent"
	WayKernel     Way = "kernel"
	WayKeyring    Way = "keyring"
	WayPassphrase Way = "passphrase"
	WayBoth       Way = "keyring+passphrase"
	WayRecovery   Way = "recovery"
	WayShares     Way = "shares"
	WayTPM        Way = "tpm"
	WayPlugin     Way = "plugin"
	WayPKCS11     Way = "pkcs11"
)

// wayOf is the way that opens a slot of this type.
func wayOf(t vault.SlotType) Way {
	switch t {
	case vault.SlotPassphrase:
		return WayPassphrase
	case vault.SlotKeyring:
		return WayKeyring
	case vault.SlotBoth:
		return WayBoth
	case vault.SlotRecovery:
		return WayRecovery
	case vault.SlotGroup:
		return WayShares
	case vault.SlotTPM:
		return WayTPM
	case vault.SlotAgePlugin:
		return WayPlugin
	case vault.SlotPKCS11:
		return WayPKCS11
	}
	return Way(t.String())
}

// Ways lists the names that --by takes.
func Ways() []string {
	all := []Way{WayAgent, WayKernel, WayKeyring, WayPassphrase, WayBoth, WayRecovery, WayShares, WayTPM, WayPlugin, WayPKCS11}
	out := make([]string, 0, len(all))
	for _, w := range all {
		out = append(out, string(w))
	}
	return out
}

// Devices says where things are found that the vault does not know. All may be
// empty.
type Devices struct {
	TPM      string // device or socket of an swtpm; "": /dev/tpmrm0
	Identity string // file with the identity of an age plugin
	PKCS11   pkcs11.Options
}

// asking is in which order a person is asked, when nothing else opened.
func asking() []vault.SlotType {
	return []vault.SlotType{vault.SlotPassphrase, vault.SlotBoth, vault.SlotTPM, vault.SlotPKCS11, vault.SlotAgePlugin}
}

// open opens the vault by the way that was asked for, or by the first that
// works.
func (a *App) openBy(ctx context.Context, slots []vault.SlotInfo, pass func(context.Context) ([]byte, error)) (*vault.Vault, Way, error) {
	if w := a.cfg.Way; w != "" {
		v, err := a.openOne(ctx, w, slots, pass)
		return v, w, err
	}
	for _, w := range []Way{WayAgent, WayKernel} {
		v, err := a.openOne(ctx, w, slots, pass)
		if err == nil || errors.Is(err, agent.ErrDenied) { // a no is not to be gone round
			return v, w, err
		}
	}
	var failed error
	if slotOf(slots, vault.SlotKeyring) >= 0 && !a.cfg.NoKeyring {
		v, err := a.openOne(ctx, WayKeyring, slots, pass)
		if err == nil || !keyringFailed(err) {
			return v, WayKeyring, err
		}
		failed = err
	}
	v, w, err := a.openAsking(ctx, slots, pass)
	if failed != nil && errors.Is(err, errNothingAsked) {
		return nil, WayKeyring, failed
	}
	return v, w, err
}

// errNothingAsked is for a vault that no question opens.
var errNothingAsked = fmt.Errorf("%w that a command tries by itself; say how with --by", vault.ErrNoSlot)

// openAsking opens the vault by what it asks for: the first kind of slot that
// there is.
func (a *App) openAsking(ctx context.Context, slots []vault.SlotInfo, pass func(context.Context) ([]byte, error)) (*vault.Vault, Way, error) {
	for _, t := range asking() {
		if slotOf(slots, t) >= 0 {
			v, err := a.openOne(ctx, wayOf(t), slots, pass)
			if err == nil || wayOf(t) != WayPassphrase || slotOf(slots, vault.SlotBoth) < 0 || !errors.Is(err, vault.ErrWrongPassphrase) {
				return v, wayOf(t), err
			}
		}
	}
	return nil, "", errNothingAsked
}

// openOne opens the vault by one way.
func (a *App) openOne(ctx context.Context, w Way, slots []vault.SlotInfo, pass func(context.Context) ([]byte, error)) (*vault.Vault, error) {
	switch w {
	case WayAgent:
		return a.byAgent(ctx)
	case WayKernel:
		return a.byKernel(ctx)
	}
	failed := fmt.Errorf("%w: %s", vault.ErrNoSlot, w)
	for _, s := range slots {
		if wayOf(s.Type) != w {
			continue
		}
		u, wipe, err := a.unlocker(ctx, s, pass)
		if err != nil {
			return nil, err
		}
		v, err := vault.Open(ctx, a.vaultPath(), u)
		wipe()
		if err == nil || w != WayKeyring { // other ways try all slots of their kind themselves
			return v, err
		}
		failed = err
	}
	if !known(w) {
		return nil, fmt.Errorf("%w: --by %q; one of: %s", ErrInput, w, strings.Join(Ways(), ", "))
	}
	return nil, failed
}

func known(w Way) bool {
	for _, k := range Ways() {
		if string(w) == k {
			return true
		}
	}
	return false
}

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
		pin, err := a.askPIN(ctx, "PIN of the TPM", pass)
		return secret(pin, err, func(b []byte) vault.Unlocker { return tpm.Unlocker(tpm.Device(a.cfg.Devices.TPM), b) })
	case vault.SlotPKCS11:
		pin, err := a.askPIN(ctx, "PIN of the token", pass)
		return secret(pin, err, func(b []byte) vault.Unlocker { return pkcs11.Unlocker(a.cfg.Devices.PKCS11, b) })
	case vault.SlotRecovery:
		code, err := a.askCode(ctx, "Recovery code")
		return secret(code, err, vault.Recovery)
	case vault.SlotGroup:
		return a.askShares(ctx, s)
	case vault.SlotAgePlugin:
		id, err := a.pluginIdentity()
		return secret(id, err, func(b []byte) vault.Unlocker { return ageplugin.Unlocker(string(b), a.pluginUI()) })
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

// askShares asks for as many shares as slot s needs.
func (a *App) askShares(ctx context.Context, s vault.SlotInfo) (vault.Unlocker, func(), error) {
	var texts []string
	for i := range s.Need {
		t, err := a.askCode(ctx, fmt.Sprintf("Share %d of the %d that are needed", i+1, s.Need))
		if err != nil {
			return nil, nil, err
		}
		texts = append(texts, string(bytes.TrimSpace(t)))
		clear(t)
	}
	return vault.Shares(texts...), func() {}, nil
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

// byKernel opens the vault with what Remember left in the kernel's keyring.
func (a *App) byKernel(ctx context.Context) (*vault.Vault, error) {
	if a.cfg.NoKernel {
		return nil, vault.ErrKeyringMissing
	}
	k, err := a.kernelKey(0)
	if err != nil {
		return nil, err
	}
	return vault.Open(ctx, a.vaultPath(), vault.Remembered(k))
}

func (a *App) kernelKey(life time.Duration) (vault.KernelEntry, error) {
	name, err := vault.FileID(a.vaultPath())
	return vault.KernelKeyring("vault-"+name, life), err
}

// Remember leaves the open vault's key in the kernel's keyring for life: where
// no desktop and no agent runs, later commands open the vault with it.
func (a *App) Remember(ctx context.Context, life time.Duration) error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	k, err := a.kernelKey(life)
	if err != nil {
		return err
	}
	return v.Remember(ctx, k)
}

// ForgetRemembered takes it away.
func (a *App) ForgetRemembered(ctx context.Context) error {
	k, err := a.kernelKey(0)
	if err != nil {
		return err
	}
	return k.Delete(ctx)
}

// forgetCopies takes the vault key away from agent and kernel, which hold one
// that opens nothing any more.
func (a *App) forgetCopies(ctx context.Context, vaultID string) {
	_ = agent.Client{}.Lock(ctx, vaultID) // there may be none
	_ = a.ForgetRemembered(ctx)
}

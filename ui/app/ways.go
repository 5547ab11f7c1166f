package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

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
	pass, wipe := once(pass)
	defer wipe()
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
		if err == nil || w != WayKeyring && w != WayBoth && !elsewhere(err) { // other ways try all slots of their kind themselves
			return v, err
		}
		if !errors.Is(failed, vault.ErrWrongPassphrase) { // it says more than that another's entry is missing
			failed = err
		}
	}
	if !known(w) {
		return nil, fmt.Errorf("%w: --by %q; one of: %s", ErrInput, w, strings.Join(Ways(), ", "))
	}
	return nil, failed
}

// elsewhere tells that another slot of the kind may be the one that was meant: it
// is of another device or has another PIN, which is asked for anew.
func elsewhere(err error) bool {
	for _, e := range []error{tpm.ErrOther, tpm.ErrPIN, pkcs11.ErrNoToken, pkcs11.ErrNoKey, pkcs11.ErrOther, pkcs11.ErrPIN, ageplugin.ErrIdentity} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// once asks one time, for as many slots as there are: each has its own entry in
// the keyring, and all the same passphrase.
func once(pass func(context.Context) ([]byte, error)) (again func(context.Context) ([]byte, error), wipe func()) {
	var kept []byte
	again = func(ctx context.Context) (_ []byte, err error) {
		if kept == nil {
			kept, err = pass(ctx)
		}
		return bytes.Clone(kept), err
	}
	return again, func() { clear(kept) }
}

func known(w Way) bool {
	for _, k := range Ways() {
		if string(w) == k {
			return true
		}
	}
	return false
}

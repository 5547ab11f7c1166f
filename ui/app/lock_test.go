package app

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"cipherdeck/vault"
)

// A machine that goes to sleep while a vault is being opened, which takes a
// second, wakes up with the vault locked.
func TestLockedWhileItIsOpened(t *testing.T) {
	pass := []byte("correct horse battery")
	var a *App
	ask := func(context.Context, string, bool) ([]byte, error) { return append([]byte(nil), pass...), nil }
	a = New(Config{Home: filepath.Join(t.TempDir(), "home"), Ask: ask, NoKeyring: true, NoKernel: true})
	if _, err := a.InitVault(t.Context(), "ana", pass, false); err != nil {
		t.Fatal(err)
	}
	a.Close()
	sleeps := func(ctx context.Context) ([]byte, error) {
		a.Close() // what the machine's going to sleep does
		return ask(ctx, "", false)
	}
	if _, err := a.Unlock(t.Context(), sleeps); !errors.Is(err, ErrLocked) || a.Facts().Unlocked {
		t.Errorf("unlocked: %v, %v", a.Facts().Unlocked, err)
	}
	if _, err := a.UnlockTyped(t.Context(), pass); err != nil || !a.Facts().Unlocked {
		t.Errorf("the next time it opens: %v", err)
	}
	a.Close()
	if _, err := vault.Slots(filepath.Join(a.Home(), VaultFile)); err != nil {
		t.Error(err)
	}
}

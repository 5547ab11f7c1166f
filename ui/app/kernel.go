package app

import (
	"context"
	"time"

	"cipherdeck/vault"
	"cipherdeck/vault/agent"
)

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

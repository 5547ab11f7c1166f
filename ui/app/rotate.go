package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cipherdeck/vault"
)

// TestSlot tells whether the slot with this id opens, with what is asked for
// now, and changes nothing.
func (a *App) TestSlot(ctx context.Context, id string) (vault.SlotInfo, error) {
	slots, err := vault.Slots(a.vaultPath())
	if err != nil {
		return vault.SlotInfo{}, err
	}
	i := slices.IndexFunc(slots, func(s vault.SlotInfo) bool { return s.ID == id })
	if i < 0 {
		return vault.SlotInfo{}, fmt.Errorf("%w: there is no slot %s", vault.ErrSlot, id)
	}
	u, wipe, err := a.unlocker(ctx, slots[i], a.askPass)
	if err != nil {
		return slots[i], err
	}
	defer wipe()
	return slots[i], vault.TestSlot(ctx, a.vaultPath(), id, u)
}

func (a *App) askPass(ctx context.Context) ([]byte, error) {
	return a.Ask(ctx, "Passphrase of "+a.vaultPath(), false)
}

// RotateVaultKey gives the vault a new key, or takes up a rotation that was
// begun. Each slot that shall stay needs its own secret: those that can be had
// now are asked for, and the slots of others are left for a later call. drop has
// the ids of slots that shall go.
func (a *App) RotateVaultKey(ctx context.Context, drop []string) (vault.Rotation, error) {
	v, _, err := a.opened()
	if err != nil {
		return vault.Rotation{}, err
	}
	var us []vault.Unlocker
	for _, s := range askOrder(v, drop) {
		u, wipe, err := a.unlocker(ctx, s, a.askPass)
		if err == nil {
			defer wipe()
			err = vault.TestSlot(ctx, a.vaultPath(), s.ID, u)
		}
		if errors.Is(err, context.Canceled) {
			return vault.Rotation{}, err
		}
		if err != nil {
			a.notice(fmt.Sprintf("slot %s (%s) is left for later: %v", s.ID, s.Type, err))
			continue
		}
		us = append(us, u)
	}
	if len(us) == 0 {
		return vault.Rotation{}, fmt.Errorf("%w: no slot could be opened, so nothing was begun", vault.ErrNoSlot)
	}
	r, err := v.RotateKey(ctx, drop, us...)
	a.noteSeen(v, err == nil)
	if err == nil && r.Done {
		a.forgetCopies(ctx, v.ID())
	}
	return r, err
}

// askOrder is whose secrets are wanted: one that an unfinished rotation has
// already, to go on with, and those that it needs yet.
func askOrder(v *vault.Vault, drop []string) []vault.SlotInfo {
	goes := func(s vault.SlotInfo) bool { return slices.Contains(drop, s.ID) }
	stay := slices.DeleteFunc(v.Slots(), goes)
	r, begun := v.Rotating()
	if !begun {
		return stay
	}
	left := slices.DeleteFunc(r.Left, goes)
	done := slices.DeleteFunc(stay, func(s vault.SlotInfo) bool {
		return slices.ContainsFunc(left, func(l vault.SlotInfo) bool { return l.ID == s.ID })
	})
	slices.SortStableFunc(done, func(x, y vault.SlotInfo) int { return trouble(x) - trouble(y) })
	return append(slices.Clip(done[:min(1, len(done))]), left...)
}

// trouble is how much a person has to do for a slot's secret.
func trouble(s vault.SlotInfo) int {
	switch s.Type {
	case vault.SlotKeyring:
		return 0
	case vault.SlotPassphrase, vault.SlotBoth:
		return 1
	case vault.SlotTPM, vault.SlotAgePlugin, vault.SlotPKCS11:
		return 2
	}
	return 3
}

// RotationState tells whether a rotation is under way and what it needs.
func (a *App) RotationState() (vault.Rotation, bool, error) {
	v, _, err := a.opened()
	if err != nil {
		return vault.Rotation{}, false, err
	}
	r, begun := v.Rotating()
	return r, begun, nil
}

// CancelRotation forgets an unfinished rotation.
func (a *App) CancelRotation() error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	err = v.CancelRotation()
	a.noteSeen(v, err == nil)
	return err
}

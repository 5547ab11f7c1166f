//go:build linux

package app

import (
	"context"
	"errors"
	"strings"
	"testing"

	"cipherdeck/vault"
)

// stuck is a keyring that gives its entry and does not let it go.
type stuck struct{ *entry }

func (stuck) Delete(context.Context) error { return vault.ErrKeyringDenied }

// A slot for a keyring that is broken is replaced by a code: the code is shown,
// because nothing else opens the vault now.
func TestWhatReplacesABrokenKeyringIsShown(t *testing.T) {
	d := patient(t)
	d.open(t)
	d.a.cfg.Keyring = stuck{d.a.cfg.Keyring.(*entry)}
	var told []string
	d.a.cfg.Notice = func(text string) { told = append(told, text) }
	slots, err := d.a.Slots()
	if err != nil {
		t.Fatal(err)
	}
	ring := slots[slotOf(slots, vault.SlotKeyring)].ID
	kit, err := d.a.AddRecovery(t.Context(), ring)
	if err != nil || !strings.Contains(kit, "RECOVERY CODE") {
		t.Fatalf("the slot is in the vault, but its code is lost: %q %v", kit, err)
	}
	if len(told) != 1 || !strings.Contains(told[0], vault.ErrKeyringDenied.Error()) {
		t.Errorf("told %q, want that the entry stays", told)
	}
	if err := d.a.RemoveSlot(t.Context(), ring); !errors.Is(err, vault.ErrSlot) {
		t.Errorf("the replaced slot: %v", err)
	}
}

// A rotation goes on with a slot that is done and stays, also when the one that
// is least trouble is taken away.
func TestRotationGoesOnWithoutADroppedSlot(t *testing.T) {
	d := patient(t)
	d.a.cfg.Ask = func(context.Context, string, bool) ([]byte, error) { return []byte(sickPass), nil }
	d.open(t)
	if _, err := d.a.AddRecovery(t.Context(), ""); err != nil { // nobody can be asked for it
		t.Fatal(err)
	}
	r, err := d.a.RotateVaultKey(t.Context(), nil)
	if err != nil || r.Done || len(r.Left) != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	slots, err := d.a.Slots()
	if err != nil {
		t.Fatal(err)
	}
	ring, code := slots[slotOf(slots, vault.SlotKeyring)].ID, r.Left[0].ID
	if r, err = d.a.RotateVaultKey(t.Context(), []string{ring, code}); err != nil || !r.Done {
		t.Errorf("%+v %v", r, err)
	}
}

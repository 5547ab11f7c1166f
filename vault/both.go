package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"cipherdeck/crypto/keys"
)

const labelBoth = "cipherdeck/vault/v2/both"

// KeyringAndPassphraseSlot is a slot that needs the secret in k AND a
// passphrase: who can read the keyring of an unlocked session still has to guess
// the passphrase, and who saw the passphrase still needs the machine. k must be
// empty. Errors are those of KeyringSlot and PassphraseSlot.
func KeyringAndPassphraseSlot(k Keyring, pw []byte, params keys.Argon2id) NewSlot {
	return NewSlot{Label: "keyring and passphrase", fill: func(ctx context.Context, _ [idSize]byte, h *slotHeader) ([]byte, func(), error) {
		h.Type, h.Entry, h.T, h.MKiB, h.P = SlotBoth, entryOf(k), params.T, params.MKiB, params.P
		if err := errors.Join(CheckPassphrase(pw), params.Check(), h.check()); err != nil {
			return nil, nothing, err
		}
		half, undo, err := deposit(ctx, k, h.Entry)
		if err != nil {
			return nil, undo, err
		}
		defer clear(half)
		secret, err := both(ctx, *h, half, pw)
		return secret, undo, err
	}}
}

// KeyringAndPassphrase unlocks a slot that KeyringAndPassphraseSlot made. The
// caller wipes pw after Open. A wrong passphrase and another's entry cannot be
// told apart: both are ErrWrongPassphrase.
func KeyringAndPassphrase(k Keyring, pw []byte) Unlocker { return keyringAndPassphrase{k, pw} }

type keyringAndPassphrase struct {
	k  Keyring
	pw []byte
}

func (u keyringAndPassphrase) unlock(ctx context.Context, f *file) (opened, error) {
	result := ErrNoSlot
	for _, s := range f.slots {
		if s.Type != SlotBoth {
			continue
		}
		half, err := u.k.Get(ctx)
		if err != nil {
			return opened{}, err
		}
		secret, err := both(ctx, s.slotHeader, half, u.pw)
		clear(half)
		if errors.Is(err, keys.ErrEmptyPassphrase) {
			return opened{}, ErrWrongPassphrase
		}
		if err != nil {
			return opened{}, fmt.Errorf("slot %s (%s): %w", s.name(), s.Label, err)
		}
		if o, ok := f.try(s, secret); ok {
			return o, nil
		}
		result = ErrWrongPassphrase
	}
	return opened{}, result
}

// both mixes the two halves. Each is 32 bytes, so that joining them has one
// meaning.
func both(ctx context.Context, h slotHeader, half, pw []byte) ([]byte, error) {
	if len(half) != keySize {
		return nil, ErrKeyringMismatch
	}
	typed, err := stretch(ctx, h.kdf(), pw, h.Salt)
	if err != nil {
		return nil, err
	}
	defer clear(typed)
	joined := bytes.Join([][]byte{half, typed}, nil)
	defer clear(joined)
	return derive(joined, labelBoth)
}

package vault

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"cipherdeck/crypto/keys"
)

// MinPassphrase is the least number of characters of a new passphrase. It stops
// mistakes, not guessing: what resists is length and chance, such as six random
// words.
const MinPassphrase = 8

// PassphraseSlot is a slot that a passphrase opens, at the given cost. The
// caller keeps pw until the slot is made, and wipes it then.
//
// Making it fails with ErrWeak for fewer than MinPassphrase characters, with
// keys.ErrKDF for parameters outside the limits.
func PassphraseSlot(pw []byte, params keys.Argon2id) NewSlot {
	return NewSlot{Label: "passphrase", fill: func(ctx context.Context, _ [idSize]byte, h *slotHeader) ([]byte, func(), error) {
		h.Type, h.T, h.MKiB, h.P = SlotPassphrase, params.T, params.MKiB, params.P
		if err := CheckPassphrase(pw); err != nil {
			return nil, nothing, err
		}
		secret, err := stretch(ctx, params, pw, h.Salt)
		return secret, nothing, err
	}}
}

// nothing is the undo of a slot that has no part outside of the vault.
func nothing() {}

// CheckPassphrase refuses what a new slot would refuse. Errors wrap ErrWeak.
func CheckPassphrase(pw []byte) error {
	if n := utf8.RuneCount(norm.NFC.Bytes(pw)); n < MinPassphrase {
		return fmt.Errorf("%w: %d characters, want at least %d", ErrWeak, n, MinPassphrase)
	}
	return nil
}

// Passphrase unlocks with a passphrase. The caller wipes pw after Open.
func Passphrase(pw []byte) Unlocker { return passphrase(pw) }

type passphrase []byte

// unlock tries every passphrase slot, in order. A slot whose cost is refused is
// passed over: it may be for another machine, and another slot may do.
func (p passphrase) unlock(ctx context.Context, f *file) (opened, error) {
	var refused error
	none := ErrNoSlot
	for _, s := range f.slots {
		if s.Type != SlotPassphrase {
			continue
		}
		secret, err := stretch(ctx, s.kdf(), p, s.Salt)
		switch {
		case errors.Is(err, keys.ErrKDF):
			refused = fmt.Errorf("slot %s (%s): %w", s.name(), s.Label, err)
			continue
		case errors.Is(err, keys.ErrEmptyPassphrase):
			return opened{}, ErrWrongPassphrase
		case err != nil:
			return opened{}, err
		}
		if o, ok := f.try(s, secret); ok {
			return o, nil
		}
		none = ErrWrongPassphrase
	}
	if refused != nil {
		return opened{}, refused
	}
	return opened{}, none
}

// stretch derives a slot secret. Argon2id cannot be interrupted: when ctx ends
// first, it finishes unseen.
func stretch(ctx context.Context, a keys.Argon2id, pw []byte, salt [16]byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type made struct {
		secret []byte
		err    error
	}
	mine := append([]byte(nil), pw...) // the caller may wipe his when ctx ends
	done := make(chan made, 1)
	go func() {
		defer clear(mine)
		k, err := a.Derive(mine, salt)
		done <- made{k[:], err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case m := <-done:
		return m.secret, m.err
	}
}

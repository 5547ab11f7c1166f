package vault

import (
	"bytes"
	"context"
	"fmt"
)

// Lend calls f with the 32-byte vault key itself. It is for what keeps a vault
// unlocked between programs, the agent and the kernel's keyring; who has the key
// can read and write the whole vault until RotateKey. f must not change the key
// or keep the slice: it is memory that goes away. Errors wrap ErrClosed or are those of f.
func (v *Vault) Lend(f func(key []byte) error) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.key == nil {
		return ErrClosed
	}
	var err error
	v.key.Use(func(key []byte) { err = f(key) })
	return err
}

// FromKey unlocks with a vault key that Lend gave. get returns a copy, which is
// wiped. vault is the id of the vault that is to be opened, as Vault.ID. Open
// fails with the error of get, or with ErrRotated when it is not, or no longer,
// the key of this vault.
func FromKey(get func(ctx context.Context, vault string) ([]byte, error)) Unlocker {
	return fromKey{get}
}

type fromKey struct {
	get func(context.Context, string) ([]byte, error)
}

func (u fromKey) unlock(ctx context.Context, f *file) (opened, error) {
	key, err := u.get(ctx, fmt.Sprintf("%x", f.id))
	if err != nil {
		return opened{}, err
	}
	if len(key) != keySize || f.authenticate(key) != nil {
		clear(key)
		return opened{}, ErrRotated
	}
	return opened{key: key}, nil
}

// Remember keeps the vault key in k, so that later commands open the vault with
// Remembered until k forgets it. It is meant for a keyring of the kernel, which
// ends with the session; forget it with k.Delete.
func (v *Vault) Remember(ctx context.Context, k Keyring) error {
	return v.Lend(func(key []byte) error { return k.Set(ctx, bytes.Clone(key)) })
}

// Remembered unlocks with what Remember left in k. Errors are those of k, or
// ErrRotated.
func Remembered(k Keyring) Unlocker {
	return FromKey(func(ctx context.Context, _ string) ([]byte, error) { return k.Get(ctx) })
}

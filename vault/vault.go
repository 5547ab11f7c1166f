package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"cipherdeck/vault/private"
)

// Unlocker finds the vault key in a slot: Passphrase or FromKeyring.
type Unlocker interface {
	// unlock returns the 32-byte vault key, or why no slot gave it.
	unlock(ctx context.Context, f *file) ([]byte, error)
}

// Vault is an unlocked vault. Its methods may be called from many goroutines,
// and other processes may save the same file at the same time.
type Vault struct {
	path   string
	saving sync.Mutex // one save at a time; View does not wait for it

	mu         sync.RWMutex
	key        []byte // nil when closed
	id         [idSize]byte
	generation uint64
	slots      []slot
	state      State
}

// Create makes a vault file with at least one slot and returns it unlocked.
// The directory is made (mode 0700) if it is missing.
//
// Errors wrap ErrExists (also when only the .bak of an earlier vault is there:
// it may be the last copy), ErrPermissions, ErrSlot, ErrWeak, or those of the
// keyring.
func Create(path string, st State, slots ...NewSlot) (*Vault, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if len(slots) < 1 || len(slots) > maxSlots {
		return nil, fmt.Errorf("%w: %d slots, want 1 to %d", ErrSlot, len(slots), maxSlots)
	}
	if err := private.Dir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	unlock, err := private.Lock(path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, p := range []string{path, backup(path)} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, ErrExists), err)
		}
	}
	v := &Vault{path: path, key: make([]byte, keySize)}
	rand.Read(v.key)
	if err := v.create(st, slots); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// create makes the slots and the file, or takes back what it did.
func (v *Vault) create(st State, slots []NewSlot) (err error) {
	f := &file{}
	rand.Read(f.id[:])
	var undo []func()
	defer func() {
		if err != nil {
			for _, u := range undo {
				u()
			}
		}
	}()
	for _, n := range slots {
		s, u, err := n.build(context.Background(), f.id, v.key)
		undo = append(undo, u)
		if err != nil {
			return err
		}
		f.slots = append(f.slots, s)
	}
	return v.write(f, st, "")
}

// Open unlocks a vault file. Symbolic links are followed, and the file they
// lead to is the one that is saved.
//
// Errors wrap ErrNotFound, ErrPermissions, ErrNotVault, ErrVersion, ErrDamaged,
// ErrWrongPassphrase, ErrNoSlot, keys.ErrKDF, or those of the keyring.
func Open(ctx context.Context, path string, u Unlocker) (*Vault, error) {
	path, f, err := read(path)
	if err != nil {
		return nil, err
	}
	key, err := u.unlock(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	v := &Vault{path: path, key: key}
	plain, err := f.open(key)
	if err == nil {
		err = v.adopt(f, plain)
	}
	clear(plain)
	if err != nil {
		v.Close()
		return nil, hint(path, err)
	}
	return v, nil
}

// Slots lists the slots of a vault file without unlocking it. Nothing in the
// list is authenticated: it is for choosing how to unlock.
func Slots(path string) ([]SlotInfo, error) {
	_, f, err := read(path)
	if err != nil {
		return nil, err
	}
	return infos(f.slots), nil
}

// Slots lists the slots as they were at the last unlock or save, authenticated.
func (v *Vault) Slots() []SlotInfo {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return infos(v.slots)
}

// View calls f with the state. f must not change it or keep its slices and
// maps: they are overwritten by the next save. A closed vault shows an empty
// state.
func (v *Vault) View(f func(State)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	f(v.state)
}

// Close overwrites the keys and the state in memory. The vault cannot be used
// after it; closing twice is harmless.
func (v *Vault) Close() {
	v.saving.Lock()
	defer v.saving.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.key)
	v.key = nil
	v.state.wipe()
}

// adopt makes the opened content of a file the vault's own.
func (v *Vault) adopt(f *file, plain []byte) error {
	st, err := decodeState(plain)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state.wipe()
	v.id, v.generation, v.slots, v.state = f.id, f.generation, f.slots, st
	return nil
}

// read takes the file apart and returns the real path it has.
func read(path string) (string, *file, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	b, err := private.Read(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, hint(path, ErrNotFound)
	case errors.Is(err, private.ErrTooLarge):
		return "", nil, fmt.Errorf("%s: %w: %w", path, ErrNotVault, err)
	case err != nil:
		return "", nil, err
	}
	f, err := parse(b)
	if err != nil {
		return "", nil, hint(path, err)
	}
	return path, f, nil
}

func backup(path string) string { return path + ".bak" }

// hint puts the path before err and says where the copy is, if there is one.
func hint(path string, err error) error {
	if _, e := os.Lstat(backup(path)); e == nil && !errors.Is(err, ErrVersion) {
		return fmt.Errorf("%s: %w; the vault from before the last save is at %s", path, err, backup(path))
	}
	return fmt.Errorf("%s: %w", path, err)
}

func infos(slots []slot) []SlotInfo {
	out := make([]SlotInfo, 0, len(slots))
	for _, s := range slots {
		out = append(out, s.info())
	}
	return slices.Clip(out)
}

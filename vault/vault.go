package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"cipherdeck/crypto/secmem"
	"cipherdeck/vault/private"
)

// Unlocker finds the vault key: Passphrase, FromKeyring, KeyringAndPassphrase,
// Recovery, Shares, FromDevice or FromKey make one.
type Unlocker interface {
	// unlock opens a slot of f, or says why none opened.
	unlock(ctx context.Context, f *file) (opened, error)
}

// opened is what an Unlocker found. slot and secret are empty when it knew the
// vault key itself.
type opened struct {
	key    []byte // 32-byte vault key
	slot   string // name of the slot that gave it
	secret []byte // and the slot's 32-byte secret
}

// try opens s with secret. It takes secret over: if it is not the right one it
// is overwritten.
func (f *file) try(s slot, secret []byte) (opened, bool) {
	key, ok := s.vaultKey(f.id, secret)
	if !ok {
		clear(secret)
		return opened{}, false
	}
	return opened{key, s.name(), secret}, true
}

// Vault is an unlocked vault. Its methods may be called from many goroutines,
// and other processes may save the same file at the same time.
type Vault struct {
	path   string
	saving sync.Mutex // one save at a time; View does not wait for it

	mu         sync.RWMutex
	key        *secmem.Buffer // the vault key; nil when closed
	id         [idSize]byte
	generation uint64
	rotations  uint32
	slots      []slot
	pending    []pending
	state      State

	unconfirmed error // of the last save
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
	key := make([]byte, keySize)
	rand.Read(key)
	defer clear(key)
	v := &Vault{path: path, key: secmem.New(key)}
	if err := v.create(st, key, slots); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// create makes the slots and the file, or takes back what it did.
func (v *Vault) create(st State, key []byte, slots []NewSlot) (err error) {
	f := &file{version: version}
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
		s, u, err := n.build(context.Background(), f.id, key)
		undo = append(undo, u)
		if err != nil {
			return err
		}
		f.slots = append(f.slots, s)
	}
	return v.write(change{f: f, st: st, key: key}, "")
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
	v := &Vault{path: path}
	secmem.Do(func() { err = v.unlock(ctx, f, u) })
	if err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// unlock opens f and makes it the vault's own.
func (v *Vault) unlock(ctx context.Context, f *file, u Unlocker) error {
	o, err := u.unlock(ctx, f)
	if err != nil {
		return fmt.Errorf("%s: %w", v.path, err)
	}
	clear(o.secret)
	defer clear(o.key)
	v.key = secmem.New(o.key)
	plain, err := f.open(o.key)
	if err == nil {
		err = v.adopt(f, plain)
	}
	clear(plain)
	if err != nil {
		return hint(v.path, err)
	}
	return nil
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
	if v.key != nil {
		v.key.Wipe()
	}
	v.key = nil
	v.state.wipe()
}

// adopt makes the opened content of a file the vault's own.
func (v *Vault) adopt(f *file, plain []byte) error {
	c, err := decodeBody(f.version, plain)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state.wipe()
	v.id, v.generation, v.rotations, v.slots = f.id, f.generation, f.rotations, f.slots
	v.state, v.pending = c.State, c.Pending
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

// ID is the vault's id in hex. It is not secret: it tells which paper belongs
// to which vault, and stays the same for the life of the vault.
func (v *Vault) ID() string { return hex.EncodeToString(v.id[:]) }

// FileID is the id of the vault in a file, without unlocking it. Like Slots it
// is not authenticated: it finds a key, it proves nothing.
func FileID(path string) (string, error) {
	_, f, err := read(path)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(f.id[:]), nil
}

// Saves counts the vault keys that the vault has had after its first, and the
// times it was saved, as of the last unlock or save. A file that has smaller ones
// than were seen before is an older copy.
func (v *Vault) Saves() (rotations uint32, generation uint64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.rotations, v.generation
}

// Unconfirmed is why the disk did not confirm the last save, nil if it did. The
// file has the new content then; after a power cut it may be the old one.
func (v *Vault) Unconfirmed() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.unconfirmed
}

// Path is the real path of the file.
func (v *Vault) Path() string { return v.path }

// TestSlot tells whether u opens the slot with that id, and changes nothing.
// Errors are those of Open, or wrap ErrSlot when there is no such slot.
func TestSlot(ctx context.Context, path, id string, u Unlocker) error {
	path, f, err := read(path)
	if err != nil {
		return err
	}
	at := f.find(id)
	if at < 0 {
		return fmt.Errorf("%s: %w: there is no slot %s", path, ErrSlot, id)
	}
	if _, known := u.(fromKey); known {
		return fmt.Errorf("%s: %w: the vault key is not the secret of a slot", path, ErrNoSlot)
	}
	one := *f
	one.slots = f.slots[at : at+1]
	o, err := u.unlock(ctx, &one)
	if err != nil {
		return fmt.Errorf("%s: slot %s: %w", path, id, err)
	}
	defer clear(o.key)
	defer clear(o.secret)
	if err := f.authenticate(o.key); err != nil {
		return hint(path, err)
	}
	return nil
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

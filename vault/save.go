package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"cipherdeck/vault/private"
)

// Update calls f with a copy of the state as it is on the disk now, which may
// be newer than what View shows, and saves what f makes of it. When f or the
// save fails, nothing has changed. f must only look at and change the state it
// is given, and must not call Update.
//
// Errors wrap ErrClosed, ErrLocked, ErrPermissions, ErrDamaged, ErrRolledBack,
// ErrTooLarge, or are those of f and of the file system.
func (v *Vault) Update(f func(*State) error) error {
	return v.save(backup(v.path), func(_ *file, st *State, _ []byte) error { return f(st) })
}

// AddSlot adds a way to unlock. Errors are those of Update, ErrSlot when there
// are 8 already, and those of making the slot.
func (v *Vault) AddSlot(ctx context.Context, n NewSlot) (SlotInfo, error) {
	return v.putSlot(ctx, "", n)
}

// ReplaceSlot puts a new slot in the place of the one with that id, in one
// save: a changed passphrase. Errors are those of AddSlot and RemoveSlot.
func (v *Vault) ReplaceSlot(ctx context.Context, id string, n NewSlot) (SlotInfo, error) {
	return v.putSlot(ctx, id, n)
}

// putSlot replaces the slot with that id, or adds one when id is empty.
func (v *Vault) putSlot(ctx context.Context, id string, n NewSlot) (SlotInfo, error) {
	var info SlotInfo
	undo := func() {}
	keep := backup(v.path)
	if id != "" {
		keep = ""
	}
	err := v.save(keep, func(f *file, _ *State, key []byte) error {
		at := len(f.slots)
		if id != "" {
			if at = f.find(id); at < 0 {
				return fmt.Errorf("%w: there is no slot %s", ErrSlot, id)
			}
		}
		if at >= maxSlots {
			return fmt.Errorf("%w: there are %d, which is the limit; remove one first", ErrSlot, at)
		}
		s, u, err := n.build(ctx, f.id, key)
		undo, info = u, s.info()
		if err != nil {
			return err
		}
		f.slots = append(f.slots[:at], append([]slot{s}, f.slots[min(at+1, len(f.slots)):]...)...)
		return nil
	})
	if err != nil {
		undo()
		return SlotInfo{}, err
	}
	return info, nil
}

// RemoveSlot removes the slot with that id, never the last one, and with it the
// .bak file, which still has the slot. The secret opens other copies of the
// old file for ever. Errors are those of Update, or wrap ErrSlot.
func (v *Vault) RemoveSlot(id string) error {
	return v.save("", func(f *file, _ *State, _ []byte) error {
		at := f.find(id)
		if at < 0 {
			return fmt.Errorf("%w: there is no slot %s", ErrSlot, id)
		}
		if len(f.slots) == 1 {
			return fmt.Errorf("%w: the last slot cannot be removed: nothing would open the vault", ErrSlot)
		}
		f.slots = slices.Delete(f.slots, at, at+1)
		return nil
	})
}

// save is the one way to change the file. keep is the name for the old file; if
// empty there shall be no copy, because it opens with a slot that now goes.
func (v *Vault) save(keep string, edit func(f *file, st *State, key []byte) error) error {
	v.saving.Lock()
	defer v.saving.Unlock()
	if v.key == nil { // only Close sets it, under saving
		return ErrClosed
	}
	unlock, err := private.Lock(v.path)
	if err != nil {
		return err
	}
	defer unlock()
	f, st, err := v.current()
	if err != nil {
		return err
	}
	if err := edit(f, &st, v.key); err != nil {
		return err
	}
	if keep == "" {
		for _, p := range []string{backup(v.path), backup(v.path) + ".tmp"} { // the second of a killed process
			if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return v.write(f, st, keep)
}

// current reads what the disk has now, under the lock. Another process may have
// saved since; an older file than the one we know has been put there.
func (v *Vault) current() (*file, State, error) {
	_, f, err := read(v.path)
	if err != nil {
		return nil, State{}, err
	}
	if f.id != v.id {
		return nil, State{}, fmt.Errorf("%s: %w: another vault is in its place", v.path, ErrDamaged)
	}
	plain, err := f.open(v.key)
	if err != nil {
		return nil, State{}, hint(v.path, err)
	}
	defer clear(plain)
	if f.generation < v.generation {
		return nil, State{}, fmt.Errorf("%s: %w: save %d, and %d was here", v.path, ErrRolledBack, f.generation, v.generation)
	}
	st, err := decodeState(plain)
	if err != nil {
		return nil, State{}, fmt.Errorf("%s: %w: %v", v.path, ErrDamaged, err)
	}
	return f, st, nil
}

// write saves f with a new generation and adopts it.
func (v *Vault) write(f *file, st State, keep string) error {
	plain, err := encodeState(st)
	if err != nil {
		return err
	}
	defer clear(plain)
	f.generation++
	b, err := f.marshal(v.key, plain)
	if err != nil {
		return err
	}
	var again *file
	err = private.Write(v.path, b, keep, func(back []byte) error {
		if again, err = parse(back); err != nil {
			return err
		}
		got, err := again.open(v.key)
		if err == nil && !bytes.Equal(got, plain) {
			err = fmt.Errorf("%w: the state differs", ErrDamaged)
		}
		clear(got)
		return err
	})
	if err != nil {
		return fmt.Errorf("save %s: %w", v.path, err)
	}
	return v.adopt(again, plain)
}

func (f *file) find(id string) int {
	return slices.IndexFunc(f.slots, func(s slot) bool { return s.name() == id })
}

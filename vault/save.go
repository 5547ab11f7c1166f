package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"cipherdeck/crypto/secmem"
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
	return v.save(func(c *change) error { return f(&c.st) })
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
	err := v.save(func(c *change) error {
		f := c.f
		at := len(f.slots)
		if id != "" {
			if at = f.find(id); at < 0 {
				return fmt.Errorf("%w: there is no slot %s", ErrSlot, id)
			}
			c.forget = true
		}
		if at >= maxSlots {
			return fmt.Errorf("%w: there are %d, which is the limit; remove one first", ErrSlot, at)
		}
		s, u, err := n.build(ctx, f.id, c.key)
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
	return v.save(func(c *change) error {
		f := c.f
		at := f.find(id)
		if at < 0 {
			return fmt.Errorf("%w: there is no slot %s", ErrSlot, id)
		}
		if len(f.slots) == 1 {
			return fmt.Errorf("%w: the last slot cannot be removed: nothing would open the vault", ErrSlot)
		}
		f.slots = slices.Delete(f.slots, at, at+1)
		c.forget = true
		return nil
	})
}

// change is the content of the file between reading and writing.
type change struct {
	f       *file
	st      State
	pending []pending
	key     []byte // the vault key that it is read with
	rekey   []byte // and is written with, if that is another
	forget  bool   // no copy of the old file may stay: it opens with a secret that now goes
}

// save is the one way to change the file.
func (v *Vault) save(edit func(*change) error) error {
	v.saving.Lock()
	defer v.saving.Unlock()
	held := v.key // changes only under saving
	if held == nil {
		return ErrClosed
	}
	var err error
	held.Use(func(key []byte) {
		secmem.Do(func() { err = v.saveWith(key, edit) })
	})
	if v.key != held {
		held.Wipe()
	}
	return err
}

func (v *Vault) saveWith(key []byte, edit func(*change) error) error {
	unlock, err := private.Lock(v.path)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := v.current(key)
	if err != nil {
		return err
	}
	if err := edit(&c); err != nil {
		return err
	}
	if c.forget {
		err = v.removeCopies()
	} else if c.f.version < version {
		err = private.Keep(v.path, kept(v.path, c.f.version))
	}
	if err != nil {
		return err
	}
	if c.forget {
		return v.write(c, "")
	}
	return v.write(c, backup(v.path))
}

// removeCopies removes every copy that this program makes, with what a killed
// process left of one.
func (v *Vault) removeCopies() error {
	copies := []string{backup(v.path)}
	for old := uint16(1); old < version; old++ {
		copies = append(copies, kept(v.path, old))
	}
	for _, p := range copies {
		for _, p := range []string{p, p + ".tmp"} {
			if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// current reads what the disk has now, under the lock. Another process may have
// saved since; an older file than the one we know has been put there.
func (v *Vault) current(key []byte) (change, error) {
	_, f, err := read(v.path)
	if err != nil {
		return change{}, err
	}
	if f.id != v.id {
		return change{}, fmt.Errorf("%s: %w: another vault is in its place", v.path, ErrDamaged)
	}
	if f.rotations > v.rotations { // not yet authenticated; it only chooses the words
		return change{}, fmt.Errorf("%s: %w", v.path, ErrRotated)
	}
	if f.rotations < v.rotations {
		return change{}, fmt.Errorf("%s: %w: vault key %d, and %d was here", v.path, ErrRolledBack, f.rotations, v.rotations)
	}
	plain, err := f.open(key)
	if err != nil {
		return change{}, hint(v.path, err)
	}
	defer clear(plain)
	if f.generation < v.generation {
		return change{}, fmt.Errorf("%s: %w: save %d, and %d was here", v.path, ErrRolledBack, f.generation, v.generation)
	}
	b, err := decodeBody(f.version, plain)
	if err != nil {
		return change{}, fmt.Errorf("%s: %w: %v", v.path, ErrDamaged, err)
	}
	return change{f: f, st: b.State, pending: b.Pending, key: key}, nil
}

// write saves c with a new generation, in the newest version, and adopts it.
// keep is the name for the old file, if it is to be kept.
func (v *Vault) write(c change, keep string) error {
	plain, err := encodeBody(content{c.st, c.pending})
	if err != nil {
		return err
	}
	defer clear(plain)
	key := c.key
	if c.rekey != nil {
		key = c.rekey
	}
	c.f.generation++
	c.f.version = version
	b, err := c.f.marshal(key, plain)
	if err != nil {
		return err
	}
	var again *file
	err = private.Write(v.path, b, keep, func(back []byte) error {
		if again, err = parse(back); err != nil {
			return err
		}
		got, err := again.open(key)
		if err == nil && !bytes.Equal(got, plain) {
			err = fmt.Errorf("%w: the state differs", ErrDamaged)
		}
		clear(got)
		return err
	})
	if err != nil && !errors.Is(err, private.ErrUnconfirmed) {
		return fmt.Errorf("save %s: %w", v.path, err)
	}
	v.mu.Lock()
	v.unconfirmed = err
	if c.rekey != nil {
		v.key = secmem.New(c.rekey)
	}
	v.mu.Unlock()
	clear(c.rekey)
	return v.adopt(again, plain)
}

func (f *file) find(id string) int {
	return slices.IndexFunc(f.slots, func(s slot) bool { return s.name() == id })
}

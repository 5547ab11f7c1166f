package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
)

// ErrPending is returned by RotateKey when an unfinished rotation can only be
// taken up with a secret that it had before.
var ErrPending = errors.New("a rotation was begun: give one of the secrets again that it already has")

// pending is a slot that is already sealed with the next vault key. The next
// key itself is nowhere in clear: who has the key of now and this file cannot
// follow.
type pending struct {
	Slot   string `cbor:"1,keyasint"` // which slot it will replace
	Header []byte `cbor:"2,keyasint"` // the slot's header as it was then
	Sealed []byte `cbor:"3,keyasint"` // the next vault key under the slot's secret
}

// Rotation tells how far a rotation of the vault key is.
type Rotation struct {
	Done bool
	Left []SlotInfo // whose secrets are still needed
}

// RotateKey gives the vault a new vault key. A slot can only be sealed again
// with its own secret, so one Unlocker is needed for each slot that shall stay;
// drop has the ids of slots that shall go. When secrets are missing, what is
// done so far is saved, the vault stays as it was for all uses, and Left says
// what is needed: call again, at any time and from any process, with one of the
// secrets given before and those that are left. A crash loses at most one call.
//
// When it is done, the vault key of before opens nothing new, and the copies of
// the file that this program keeps are removed. Older copies elsewhere still
// open with the slots they have; everything that was in them is to be held for
// known to who had them. Other open handles and agents get ErrRotated.
//
// Errors wrap ErrPending, ErrSlot, those of the Unlockers and of Update.
func (v *Vault) RotateKey(ctx context.Context, drop []string, secrets ...Unlocker) (Rotation, error) {
	var left []slot
	err := v.save(func(c *change) error {
		r := rotation{f: c.f, drop: drop, pending: c.pending}
		if err := r.run(ctx, secrets); err != nil {
			return err
		}
		left = r.left()
		if c.pending = r.pending; len(left) > 0 {
			clear(r.next)
			return nil
		}
		slots, err := r.slots()
		if err != nil {
			return err
		}
		c.f.slots, c.f.rotations, c.pending = slots, c.f.rotations+1, nil
		c.rekey, c.forget = r.next, true
		return nil
	})
	if err != nil {
		return Rotation{}, err
	}
	return Rotation{Done: len(left) == 0, Left: infos(left)}, nil
}

// Rotating tells whether a rotation was begun, and what it needs yet.
func (v *Vault) Rotating() (Rotation, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := rotation{f: &file{id: v.id, slots: v.slots}, pending: v.pending}
	r.prune()
	return Rotation{Left: infos(r.left())}, len(r.pending) > 0
}

// CancelRotation forgets an unfinished rotation. Errors are those of Update.
func (v *Vault) CancelRotation() error {
	return v.save(func(c *change) error { c.pending = nil; return nil })
}

// rotation is one call of RotateKey at work.
type rotation struct {
	f       *file
	drop    []string
	pending []pending
	next    []byte // the new vault key
}

func (r *rotation) run(ctx context.Context, secrets []Unlocker) error {
	for _, id := range r.drop {
		if r.f.find(id) < 0 {
			return fmt.Errorf("%w: there is no slot %s", ErrSlot, id)
		}
	}
	if len(r.drop) >= len(r.f.slots) {
		return fmt.Errorf("%w: nothing would open the vault", ErrSlot)
	}
	r.prune()
	if err := r.resume(ctx, secrets); err != nil {
		return err
	}
	for i, u := range secrets {
		if err := r.take(ctx, u); err != nil {
			return fmt.Errorf("secret %d of those given: %w", i+1, err)
		}
	}
	return nil
}

// prune forgets pending slots that were removed or replaced since.
func (r *rotation) prune() {
	r.pending = slices.DeleteFunc(slices.Clone(r.pending), func(p pending) bool {
		at := r.f.find(p.Slot)
		return at < 0 || !bytes.Equal(r.f.slots[at].raw, p.Header) || slices.Contains(r.drop, p.Slot)
	})
}

// resume finds the next vault key in what is pending, or draws it.
func (r *rotation) resume(ctx context.Context, secrets []Unlocker) error {
	if len(r.pending) == 0 {
		r.next = make([]byte, keySize)
		rand.Read(r.next)
		return nil
	}
	begun := &file{id: r.f.id}
	for _, p := range r.pending {
		s, err := parseSlot(p.Header, p.Sealed)
		if err != nil {
			return err
		}
		begun.slots = append(begun.slots, s)
	}
	for _, u := range secrets {
		if _, known := u.(fromKey); known {
			continue // it would give the key of now
		}
		if o, err := u.unlock(ctx, begun); err == nil {
			clear(o.secret)
			r.next = o.key
			return nil
		}
	}
	return fmt.Errorf("%w: slots %s", ErrPending, listed(infos(begun.slots)))
}

// take seals every slot that u opens with the next key. It fails if u opens
// none, now or in an earlier call.
func (r *rotation) take(ctx context.Context, u Unlocker) error {
	if _, known := u.(fromKey); known {
		return fmt.Errorf("%w: the vault key is not the secret of a slot", ErrNoSlot)
	}
	rest := &file{id: r.f.id, slots: r.left()}
	for {
		o, err := u.unlock(ctx, rest)
		if err != nil && len(rest.slots) == len(r.f.slots) {
			return err
		}
		if err != nil {
			all := &file{id: r.f.id, slots: r.f.slots}
			if o, err = u.unlock(ctx, all); err == nil {
				clear(o.key)
				clear(o.secret)
			}
			return err
		}
		clear(o.key)
		at := r.f.find(o.slot)
		s, err := newSlotRaw(r.f.id, r.f.slots[at], o.secret, r.next)
		clear(o.secret)
		if err != nil {
			return err
		}
		r.pending = append(r.pending, pending{o.slot, s.raw, s.sealed})
		rest.slots = r.left()
		if len(rest.slots) == 0 {
			return nil
		}
	}
}

// left is the slots whose secrets are still needed.
func (r *rotation) left() []slot {
	var out []slot
	for _, s := range r.f.slots {
		done := slices.ContainsFunc(r.pending, func(p pending) bool { return p.Slot == s.name() })
		if !done && !slices.Contains(r.drop, s.name()) {
			out = append(out, s)
		}
	}
	return out
}

// slots is the new list, in the old order.
func (r *rotation) slots() ([]slot, error) {
	var out []slot
	for _, s := range r.f.slots {
		for _, p := range r.pending {
			if p.Slot != s.name() {
				continue
			}
			again, err := parseSlot(p.Header, p.Sealed)
			if err != nil {
				return nil, err
			}
			out = append(out, again)
		}
	}
	return out, nil
}

func listed(infos []SlotInfo) string {
	var b bytes.Buffer
	for i, s := range infos {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%s)", s.ID, s.Type)
	}
	return b.String()
}

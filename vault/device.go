package vault

import (
	"context"
	"crypto/rand"
	"fmt"
)

// DeviceSlot is a slot whose 32-byte random secret a device keeps: seal gives
// it to the device and returns what is needed to get it back, at most 16 KiB,
// which stands readable in the slot. typ is SlotTPM, SlotAgePlugin or
// SlotPKCS11. Packages vault/tpm, vault/ageplugin and vault/pkcs11 use it.
func DeviceSlot(typ SlotType, label string, seal func(ctx context.Context, secret []byte) (data []byte, err error)) NewSlot {
	return NewSlot{Label: label, fill: func(ctx context.Context, _ [idSize]byte, h *slotHeader) ([]byte, func(), error) {
		if s, ok := typ.shape(); !ok || !s.data || typ == SlotGroup {
			return nil, nothing, fmt.Errorf("%w: type %d is not of a device", ErrSlot, typ)
		}
		secret := make([]byte, keySize)
		rand.Read(secret)
		data, err := seal(ctx, secret)
		h.Type, h.Data = typ, data
		return secret, nothing, err
	}}
}

// FromDevice unlocks with a device. open gets the secret of a slot back from
// what seal returned; its error ends the attempt if no other slot of the type
// opens.
func FromDevice(typ SlotType, open func(ctx context.Context, data []byte) (secret []byte, err error)) Unlocker {
	return fromDevice{typ, open}
}

// Only is u for the slot with that id alone: what was typed for one device is not
// tried on another, which would count it as wrong.
func Only(id string, u Unlocker) Unlocker { return only{id, u} }

type only struct {
	id string
	u  Unlocker
}

func (o only) unlock(ctx context.Context, f *file) (opened, error) {
	at := f.find(o.id)
	if at < 0 {
		return opened{}, fmt.Errorf("%w: there is no slot %s", ErrNoSlot, o.id)
	}
	one := *f
	one.slots = f.slots[at : at+1]
	return o.u.unlock(ctx, &one)
}

type fromDevice struct {
	typ  SlotType
	open func(context.Context, []byte) ([]byte, error)
}

func (u fromDevice) unlock(ctx context.Context, f *file) (opened, error) {
	result := error(ErrNoSlot)
	for _, s := range f.slots {
		if s.Type != u.typ {
			continue
		}
		secret, err := u.open(ctx, s.Data)
		if err != nil {
			result = fmt.Errorf("slot %s (%s): %w", s.name(), s.Label, err)
			continue
		}
		if o, ok := f.try(s, secret); ok {
			return o, nil
		}
		result = fmt.Errorf("slot %s (%s): %w: the device gave another secret", s.name(), s.Label, ErrDamaged)
	}
	return opened{}, result
}

package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
)

// sealedSize is a sealed vault key: 12 bytes of nonce, 32 of key, 16 of tag.
const sealedSize = 12 + keySize + 16

// maxData bounds what a slot keeps for a device.
const maxData = 16 << 10

const labelSlot = "cipherdeck/vault/v1/slot"

// SlotType says which kind of secret opens a slot.
type SlotType uint8

// The kinds of slot.
const (
	SlotPassphrase SlotType = 1 // Argon2id of a passphrase
	SlotKeyring    SlotType = 2 // 32 random bytes in the operating system's keyring
	SlotBoth       SlotType = 3 // keyring AND passphrase: neither opens it alone
	SlotRecovery   SlotType = 4 // a recovery code on paper
	SlotGroup      SlotType = 5 // k of n shares
	SlotTPM        SlotType = 6 // sealed by a TPM 2.0; package vault/tpm
	SlotAgePlugin  SlotType = 7 // wrapped by an age plugin; package vault/ageplugin
	SlotPKCS11     SlotType = 8 // wrapped by a key in a PKCS#11 token; package vault/pkcs11
)

// shape is the name of a kind and which fields of the header it uses.
type shape struct {
	name             string
	kdf, entry, data bool
}

func (t SlotType) shape() (shape, bool) {
	switch t {
	case SlotPassphrase:
		return shape{name: "passphrase", kdf: true}, true
	case SlotKeyring:
		return shape{name: "keyring", entry: true}, true
	case SlotBoth:
		return shape{name: "keyring and passphrase", kdf: true, entry: true}, true
	case SlotRecovery:
		return shape{name: "recovery code"}, true
	case SlotGroup:
		return shape{name: "shares", data: true}, true
	case SlotTPM:
		return shape{name: "TPM", data: true}, true
	case SlotAgePlugin:
		return shape{name: "age plugin", data: true}, true
	case SlotPKCS11:
		return shape{name: "PKCS#11", data: true}, true
	}
	return shape{}, false
}

// newestSlot is the last kind that a version of the file knows.
func newestSlot(version uint16) SlotType {
	switch version {
	case 1:
		return SlotKeyring
	case 2:
		return SlotAgePlugin
	}
	return SlotPKCS11
}

// String is the kind in one word or few.
func (t SlotType) String() string {
	if s, ok := t.shape(); ok {
		return s.name
	}
	return fmt.Sprintf("slot type %d", uint8(t))
}

// SlotInfo describes a slot without opening it.
type SlotInfo struct {
	ID      string // 8 hex digits; names the slot in this vault
	Type    SlotType
	Label   string
	Created time.Time     // by the clock of the machine that made it
	KDF     keys.Argon2id // of a passphrase slot
	Entry   string        // of a keyring slot: which entry holds its key
	Need    int           // of a group slot: how many shares open it
	Of      int           // of a group slot: how many shares there are
}

// slotHeader is the readable part of a slot. It is authenticated twice: with
// the key it seals, and with all other slots.
type slotHeader struct {
	ID      [4]byte  `cbor:"1,keyasint"`
	Type    SlotType `cbor:"2,keyasint"`
	Label   string   `cbor:"3,keyasint"`
	Created int64    `cbor:"4,keyasint"` // Unix seconds
	Salt    [16]byte `cbor:"5,keyasint"`
	T       uint32   `cbor:"6,keyasint"` // Argon2id, zero where there is no passphrase
	MKiB    uint32   `cbor:"7,keyasint"`
	P       uint8    `cbor:"8,keyasint"`
	Entry   string   `cbor:"9,keyasint"`            // keyring entry, empty where there is none
	Data    []byte   `cbor:"10,keyasint,omitempty"` // what the kind needs beside; never in version 1
}

type slot struct {
	slotHeader
	raw    []byte // the header as stored
	sealed []byte // sealedSize bytes
}

func (h slotHeader) kdf() keys.Argon2id { return keys.Argon2id{T: h.T, MKiB: h.MKiB, P: h.P} }

func (h slotHeader) name() string { return hex.EncodeToString(h.ID[:]) }

func (h slotHeader) info() SlotInfo {
	i := SlotInfo{ID: h.name(), Type: h.Type, Label: h.Label,
		Created: time.Unix(h.Created, 0), KDF: h.kdf(), Entry: h.Entry}
	if h.Type == SlotGroup {
		i.Need, i.Of = int(h.Data[0]), int(h.Data[1])
	}
	return i
}

// check refuses what a screen could not show safely or this version would not
// write. The cost of Argon2id is judged when it is to be paid.
func (h slotHeader) check() error {
	if err := chain.CheckName(h.Label); err != nil {
		return fmt.Errorf("%w: label: %w", ErrSlot, err)
	}
	want, ok := h.Type.shape()
	if !ok {
		return fmt.Errorf("%w: field type is %d, which does not exist", ErrSlot, h.Type)
	}
	if !want.kdf && h.kdf() != (keys.Argon2id{}) || want.entry == (h.Entry == "") || want.data == (len(h.Data) == 0) {
		return fmt.Errorf("%w: field type is %d, with fields of another type", ErrSlot, h.Type)
	}
	if len(h.Data) > maxData {
		return fmt.Errorf("%w: field data has %d bytes, limit %d", ErrSlot, len(h.Data), maxData)
	}
	if h.Type == SlotGroup {
		return checkGroup(h.Data)
	}
	if !want.entry {
		return nil
	}
	if err := chain.CheckName(h.Entry); err != nil {
		return fmt.Errorf("%w: keyring entry: %w", ErrSlot, err)
	}
	return nil
}

// parseSlot reads a slot. Errors wrap ErrDamaged.
func parseSlot(raw, sealed []byte) (slot, error) {
	s := slot{raw: raw, sealed: sealed}
	if err := doc.Decode(raw, &s.slotHeader); err != nil {
		return slot{}, fmt.Errorf("%w: slot: %v", ErrDamaged, err)
	}
	if err := s.check(); err != nil {
		return slot{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, nil
}

// newSlot seals the vault key under the secret of a slot.
func newSlot(vault [idSize]byte, h slotHeader, secret, key []byte) (slot, error) {
	raw, err := doc.Encode(h)
	if err != nil {
		return slot{}, err
	}
	return newSlotRaw(vault, slot{slotHeader: h, raw: raw}, secret, key)
}

// newSlotRaw seals a vault key into a slot whose header is written already.
func newSlotRaw(vault [idSize]byte, s slot, secret, key []byte) (slot, error) {
	g, err := slotCipher(secret)
	if err != nil {
		return slot{}, err
	}
	s.sealed = g.Seal(nil, nil, key, slotAAD(vault, s.raw))
	return s, nil
}

// vaultKey opens a slot; ok is false when the secret is not this slot's.
func (s slot) vaultKey(vault [idSize]byte, secret []byte) (key []byte, ok bool) {
	g, err := slotCipher(secret)
	if err != nil {
		return nil, false
	}
	key, err = g.Open(nil, nil, s.sealed, slotAAD(vault, s.raw))
	return key, err == nil && len(key) == keySize
}

func slotAAD(vault [idSize]byte, header []byte) []byte {
	return append(vault[:len(vault):len(vault)], header...)
}

// slotCipher is AES-256-GCM that puts a random nonce before what it seals.
func slotCipher(secret []byte) (cipher.AEAD, error) {
	k, err := derive(secret, labelSlot)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	b, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

// NewSlot is a way to unlock that is to be added: one of the functions with a
// name that ends in Slot makes it.
type NewSlot struct {
	// Label is the owner's word for the slot, 1 to 64 bytes, by the rules of
	// chain.CheckName. It can be read without unlocking.
	Label string
	// fill completes the header and gives the 32-byte secret; undo takes back
	// what it did outside of the vault, and is never nil.
	fill func(ctx context.Context, vault [idSize]byte, h *slotHeader) (secret []byte, undo func(), err error)
}

// build makes the slot. undo must be called if the slot is not saved.
func (n NewSlot) build(ctx context.Context, vault [idSize]byte, key []byte) (s slot, undo func(), err error) {
	undo = func() {}
	if n.fill == nil {
		return slot{}, undo, fmt.Errorf("%w: make it with PassphraseSlot or another function of that kind", ErrSlot)
	}
	h := slotHeader{Label: n.Label, Created: time.Now().Unix()}
	rand.Read(h.ID[:])
	rand.Read(h.Salt[:])
	secret, undo, err := n.fill(ctx, vault, &h)
	defer clear(secret)
	if err != nil {
		return slot{}, undo, err
	}
	if err := h.check(); err != nil {
		return slot{}, undo, err
	}
	s, err = newSlot(vault, h, secret, key)
	return s, undo, err
}

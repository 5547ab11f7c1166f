package chain

import (
	"crypto"
	"crypto/ed25519"
	"fmt"

	"filippo.io/mldsa"

	"cipherdeck/crypto/doc"
)

// Device is one machine of a person, or the one key of a node.
type Device struct {
	ID      doc.KeyID // of Sign
	Name    string    // the owner's word for it
	Sign    ed25519.PublicKey
	PQ      []byte // ML-DSA-65, 1952 bytes; nil for the device of a genesis until a link gives it one
	XWing   []byte // what is sealed to this device alone, 1216 bytes
	Added   uint64 // account link that added it; 0: the genesis
	Revoked uint64 // account link that revoked it; 0: it is valid
}

// keys are the public keys that a document by d must be signed with. strong
// asks for ML-DSA beside Ed25519; the result is nil where d has no such key.
func (d Device) keys(strong bool) []crypto.PublicKey {
	switch {
	case !strong:
		return []crypto.PublicKey{d.Sign}
	case d.PQ == nil:
		return nil
	}
	pq, err := parsePQ(d.PQ)
	if err != nil { // its length was checked when it came
		return nil
	}
	return []crypto.PublicKey{d.Sign, pq}
}

func parsePQ(b []byte) (*mldsa.PublicKey, error) {
	pq, err := mldsa.NewPublicKey(mldsa.MLDSA65(), b)
	if err != nil {
		return nil, fmt.Errorf("ML-DSA-65 key: %v", err)
	}
	return pq, nil
}

// All are the public keys that d signs with.
func (d Device) All() []crypto.PublicKey {
	if d.PQ == nil {
		return d.keys(false)
	}
	return d.keys(true)
}

// Key is what a device signs with. PQ is nil on a device whose account has no
// ML-DSA key for it yet.
type Key struct {
	Sign ed25519.PrivateKey
	PQ   *mldsa.PrivateKey
}

// String hides the key, so that no log or error can show it by accident.
func (Key) String() string { return "chain.Key(hidden)" }

// GoString hides the key from %#v.
func (k Key) GoString() string { return k.String() }

// ID names the device.
func (k Key) ID() (doc.KeyID, error) { return doc.KeyIDOf(k.Sign.Public()) }

// signers are the private keys for a document; see Device.keys.
func (k Key) signers(strong bool) []crypto.Signer {
	if !strong || k.PQ == nil {
		return []crypto.Signer{k.Sign}
	}
	return []crypto.Signer{k.Sign, k.PQ}
}

// Valid finds a device of a that is not revoked.
func (a *Account) Valid(k doc.KeyID) (Device, bool) {
	for _, d := range a.Devices {
		if d.ID == k && d.Revoked == 0 {
			return d, true
		}
	}
	return Device{}, false
}

// Keys finds the Ed25519 key of a valid device, for documents that any device of
// a may sign.
func (a *Account) Keys() doc.KeyFunc {
	return a.keys(func(d Device) bool { return d.Revoked == 0 })
}

// EverKeys is Keys with those of revoked devices: for a document that was accepted
// once, by somebody who knows when, and only needs its author told.
func (a *Account) EverKeys() doc.KeyFunc {
	return a.keys(func(Device) bool { return true })
}

func (a *Account) keys(which func(Device) bool) doc.KeyFunc {
	var pubs []crypto.PublicKey
	for _, d := range a.Devices {
		if which(d) {
			pubs = append(pubs, d.Sign)
		}
	}
	return doc.Keys(pubs...)
}

// Package ageplugin is the vault's slot that an age plugin opens, and so
// whatever has one: YubiKeys, FIDO2 tokens, Secure Enclave, TPMs.
//
// A plugin is a program age-plugin-NAME in the PATH. It wraps a 16-byte file key
// for a recipient (age1NAME1…) or identity (AGE-PLUGIN-NAME-1…), and unwraps it
// for an identity; this package is the other side of that conversation
// (c2sp.org/age-plugin, state machines recipient-v1 and identity-v1). The slot's
// secret is sealed under the file key. The identity is not kept in the vault:
// for most plugins it is only a hint which device to use, for some it is a key.
//
// The plugin runs with the user's rights and is trusted as far as its slot goes.
// What it sends is bounded, what it says is stripped of control characters
// before UI shows it, and it is killed when the context ends. Variables of the
// environment with names that begin with CIPHERDECK_ are not passed on.
//
// What was run: a software plugin made with filippo.io/age/plugin. Physical
// devices were not run. Grease stanzas are not sent.
package ageplugin

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age/plugin"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault"
)

// The errors of this package.
var (
	ErrNoPlugin = errors.New("age plugin is not installed")
	ErrPlugin   = errors.New("age plugin reports an error")
	ErrProtocol = errors.New("age plugin does not follow the protocol")
	ErrName     = errors.New("not a recipient or identity of an age plugin")
	ErrIdentity = errors.New("identity does not open this slot")
	ErrData     = errors.New("slot's data is not of this package")
)

const (
	fileKeySize = 16
	labelFile   = "cipherdeck/vault/v2/age-plugin"
)

// UI is how a plugin speaks to the user. A nil function is one that cannot be
// done here, which the plugin is told. Texts have no control characters.
type UI struct {
	Message func(plugin, text string)
	Ask     func(ctx context.Context, plugin, prompt string, secret bool) ([]byte, error)
	Confirm func(ctx context.Context, plugin, prompt, yes, no string) (bool, error)
}

// wrapped is the data of a slot.
type wrapped struct {
	Version uint8    `cbor:"1,keyasint"` // 1
	Plugin  string   `cbor:"2,keyasint"`
	Stanzas []stanza `cbor:"3,keyasint"` // of the file key
	Sealed  []byte   `cbor:"4,keyasint"` // nonce 12 ‖ secret 32 ‖ tag 16, AES-256-GCM
}

// Slot is a slot for a recipient, or for an identity that can also wrap. Making
// it fails with ErrName, ErrNoPlugin, ErrPlugin or ErrProtocol.
func Slot(to string, ui UI) vault.NewSlot {
	return vault.DeviceSlot(vault.SlotAgePlugin, "age plugin", func(ctx context.Context, secret []byte) ([]byte, error) {
		name, add, err := parse(to)
		if err != nil {
			return nil, err
		}
		fileKey := make([]byte, fileKeySize)
		rand.Read(fileKey)
		defer clear(fileKey)
		w := wrapped{Version: 1, Plugin: name}
		if w.Stanzas, err = wrap(ctx, name, add, to, fileKey, ui); err != nil {
			return nil, err
		}
		g, err := seal(fileKey)
		if err != nil {
			return nil, err
		}
		w.Sealed = g.Seal(nil, nil, secret, []byte(name))
		return doc.Encode(w)
	})
}

// Unlocker opens such a slot with an identity of its plugin. vault.Open fails
// with the errors of Slot, ErrIdentity or ErrData.
func Unlocker(identity string, ui UI) vault.Unlocker {
	return vault.FromDevice(vault.SlotAgePlugin, func(ctx context.Context, data []byte) ([]byte, error) {
		var w wrapped
		if err := doc.Decode(data, &w); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrData, err)
		}
		name, add, err := parse(identity)
		if err != nil {
			return nil, err
		}
		if add != "add-identity" {
			return nil, fmt.Errorf("%w: it is a recipient, want an identity", ErrName)
		}
		if w.Version != 1 || len(w.Stanzas) == 0 {
			return nil, fmt.Errorf("%w: version %d with %d stanzas", ErrData, w.Version, len(w.Stanzas))
		}
		if name != w.Plugin {
			return nil, fmt.Errorf("%w: it is of plugin %s, the slot of %q", ErrIdentity, name, w.Plugin)
		}
		fileKey, err := unwrap(ctx, name, identity, w.Stanzas, ui)
		if err != nil {
			return nil, err
		}
		defer clear(fileKey)
		g, err := seal(fileKey)
		if err != nil {
			return nil, err
		}
		secret, err := g.Open(nil, nil, w.Sealed, []byte(name))
		if err != nil {
			return nil, fmt.Errorf("%w: plugin %s gave another file key", ErrIdentity, name)
		}
		return secret, nil
	})
}

// parse finds the plugin's name, and as what the text is given to it.
func parse(to string) (name, add string, err error) {
	if strings.HasPrefix(to, "AGE-PLUGIN-") {
		name, _, err = plugin.ParseIdentity(to)
		add = "add-identity"
	} else {
		name, _, err = plugin.ParseRecipient(to)
		add = "add-recipient"
	}
	if err != nil { // its text may hold the identity
		return "", "", ErrName
	}
	return name, add, nil
}

// seal is AES-256-GCM under HKDF-SHA-512 of the file key, which is used once.
func seal(fileKey []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha512.New, fileKey, nil, labelFile, 32)
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

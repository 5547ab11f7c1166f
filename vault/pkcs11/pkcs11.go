// Package pkcs11 is the vault's slot that a key in a PKCS#11 token opens: a
// smart card, a USB token, an HSM, or SoftHSM.
//
// The slot's secret is wrapped with an RSA public key of the token by OAEP. That
// is done here; only the token can open it, after its PIN. It is opened once when
// the slot is made, so a slot that was made has worked: with SHA-256 if the token
// can, else with SHA-1, as SoftHSM 2.6 wants it. OAEP does not rest on SHA-1
// being free of collisions. Slot data names the token by its serial number and
// the key by the hash of its public key; another one is an error, and where the
// token shows its public keys no PIN is given to it.
//
// The token's library is C of its vendor, so this package, pure Go, does not load
// it: the program cipherdeck-pkcs11 does, in a process that is started for one
// operation (docs/decisions/0008). What it says is bounded, its texts are stripped
// of what a terminal obeys, and it is killed when the context ends, or after two
// minutes, or ten if it makes a key. It gets the PIN over a pipe. Variables of
// the environment with names that begin with CIPHERDECK_ are not passed on.
//
// The path of the library stands readable in the slot, and can be changed there
// by whoever can write the vault file. It is believed only if nobody but the
// administrator can change the library; else Options must name it.
//
// What it does not do. It does not know who made a token, or whether a key was
// made in it: a key that was imported has copies. A token may count wrong PINs
// and lock itself; a vault with slots of several tokens should be opened with
// Options.Token, or each is tried with the same PIN. Keypads of readers, keys
// that want the PIN at each use, and elliptic curves are not supported. RSA is
// not post-quantum. What was run: SoftHSM 2.6 and the soft token of NSS on Linux.
// Physical tokens were not run, nor any on macOS; there is no helper for Windows.
package pkcs11

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"cipherdeck/vault"
	"cipherdeck/vault/pkcs11/wire"
)

// The errors of this package.
var (
	ErrNoHelper = errors.New("program cipherdeck-pkcs11 is missing or cannot be used")
	ErrHelper   = errors.New("program cipherdeck-pkcs11 did not answer as it should")
	ErrModule   = errors.New("library of the token cannot be used")
	ErrNoToken  = errors.New("token is not there")
	ErrNoKey    = errors.New("token has no such key")
	ErrOther    = errors.New("token or key is not the one of the slot")
	ErrChoose   = errors.New("several tokens or keys fit")
	ErrExists   = errors.New("token has a key of this label already")
	ErrPIN      = errors.New("PIN is wrong; many tokens count these")
	ErrLocked   = errors.New("token has locked its PIN after too many wrong ones")
	ErrRefused  = errors.New("token refuses what is needed of it")
	ErrToken    = errors.New("token reports an error")
	ErrData     = errors.New("slot's data is not of this package")
)

// Sizes of RSA keys that are used.
const (
	minBits = 2048
	maxBits = 8192
)

// newKey is the label of a key pair that is made, if Options has none.
const newKey = "cipherdeck"

// Options say which token and key. An Unlocker takes what is empty from the
// slot; a token that is named here may have another serial number, as the backup
// of an HSM has, but its key must be the same.
type Options struct {
	Helper   string // the helper's path; "" is beside this program, then cipherdeck-pkcs11 in the PATH
	Module   string // absolute path of the token's library
	Token    string // label of the token; "" is the only one
	Key      string // label of the RSA key pair; "" is the only one that fits
	Generate bool   // makes an RSA-3072 pair of that label in the token first
}

// Slot is a slot that a key in a token opens with pin. Making it fails with the
// errors of this package but ErrData. The caller keeps pin until the slot is made
// and wipes it then. A key pair that was made stays in the token also if the
// vault is not saved after that.
func Slot(o Options, pin []byte) vault.NewSlot {
	return vault.DeviceSlot(vault.SlotPKCS11, "token", func(ctx context.Context, secret []byte) ([]byte, error) {
		return enrol(ctx, o, pin, secret)
	})
}

// Unlocker opens such a slot. vault.Open fails with the errors of this package
// but ErrExists. The caller keeps pin until the vault is open.
func Unlocker(o Options, pin []byte) vault.Unlocker {
	return vault.FromDevice(vault.SlotPKCS11, func(ctx context.Context, data []byte) ([]byte, error) {
		w, err := parse(data)
		if err != nil {
			return nil, err
		}
		if w, err = w.with(o); err != nil {
			return nil, err
		}
		return w.open(ctx, o.Helper, pin)
	})
}

// Token is what a token says of itself.
type Token struct {
	Label, Serial       string
	Manufacturer, Model string
	OAEP                bool // says that it can open what a slot needs
	Locked              bool // takes no PIN any more
	Low                 bool // there were wrong PINs
	Last                bool // one more wrong PIN locks it
	Keys                []Key
}

// Key is an RSA public key that a token shows.
type Key struct {
	Label string
	ID    string // hex
	Bits  int
}

// List tells which tokens the library of o sees. It needs no PIN, so keys that
// a token hides until then are missing.
func List(ctx context.Context, o Options) ([]Token, error) {
	if err := checkOptions(o); err != nil {
		return nil, err
	}
	r, err := ask(ctx, o.Helper, wire.Request{Op: wire.List, Module: o.Module}, nil)
	if err != nil {
		return nil, err
	}
	var out []Token
	for _, t := range r.Tokens {
		n := Token{Label: wire.Plain(t.Label), Serial: wire.Plain(t.Serial), Manufacturer: wire.Plain(t.Manufacturer), Model: wire.Plain(t.Model),
			OAEP: t.OAEP, Locked: t.Locked, Low: t.Low, Last: t.Last}
		for _, k := range t.Keys {
			pub, err := x509.ParsePKIXPublicKey(k.Public)
			if rsaKey, ok := pub.(*rsa.PublicKey); err == nil && ok {
				n.Keys = append(n.Keys, Key{Label: wire.Plain(k.Label), ID: hex.EncodeToString(k.ID), Bits: rsaKey.N.BitLen()})
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// publicKey is the key in k, and the hash that names it.
func publicKey(k wire.Key) (*rsa.PublicKey, []byte, error) {
	pub, err := x509.ParsePKIXPublicKey(k.Public)
	key, ok := pub.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, nil, fmt.Errorf("%w: its key is not an RSA public key", ErrHelper)
	}
	if n := key.N.BitLen(); n < minBits || n > maxBits {
		return nil, nil, fmt.Errorf("%w: an RSA key of %d bits, want %d to %d", ErrRefused, n, minBits, maxBits)
	}
	hash := sha256.Sum256(k.Public)
	return key, hash[:], nil
}

// Package vault keeps what one person must not lose and nobody else may see:
// her account's seed, whom she has verified, the servers and projects she knows
// and the last head of each that she checked.
//
// It is one file. A random 32-byte vault key seals the State. Each slot of the
// file holds the same vault key sealed under another secret, so ways to unlock
// can be added and removed without touching the rest (the idea of LUKS):
//
//   - a passphrase, a random key in the keyring of the operating system, or both
//     together;
//   - a recovery code on paper (Kit prints it), or k of n shares (Group);
//   - a device: packages vault/tpm, vault/ageplugin and vault/pkcs11.
//
// A MAC under the vault key covers all slots and the generation number: a slot
// that was added, removed or made cheaper by somebody without the key is noticed
// at the next unlock. RotateKey gives the vault a new key, in several sittings if
// need be. docs/formats/vault.md has the bytes; files of versions 1 to 3 are
// read, and written as version 4 at the next save, with the old file kept as
// .v1.bak, .v2.bak or .v3.bak.
//
// Saving is atomic and safe between processes: lock, read again what is there,
// apply the change to that, write beside, sync, read back and decrypt, keep the
// old file as .bak, rename. A crash or a full disk leaves the old vault or the
// new one.
//
// What it does not do. The file cannot tell that all of it was replaced by an
// older copy of itself, except while it is open; heads are compared with the
// servers for that. Removing a slot does not change the vault key: who kept an
// old copy of the file and its old passphrase can open later versions too; use
// RotateKey in that case. Nothing here waits longer after a wrong passphrase:
// whoever has the file guesses elsewhere, and the cost of Argon2id is what he
// pays. The vault key of an open vault lies in
// locked memory out of dumps (crypto/secmem), the state in ordinary memory, and
// Go cannot promise that all copies are erased: Close overwrites the ones it
// knows of. Any process of the same user can read the keyring while it is
// unlocked. Locking over a network file system is as good as its flock.
package vault

import (
	"errors"

	"cipherdeck/vault/private"
)

// The errors of this package; those of the keyring stand beside Keyring.
var (
	ErrWrongPassphrase = errors.New("passphrase does not open this vault")
	ErrWeak            = errors.New("passphrase is too short")
	ErrNoSlot          = errors.New("vault has no slot of this kind")
	ErrSlot            = errors.New("slot is not acceptable")
	ErrDamaged         = errors.New("vault is damaged or was changed by someone without its key")
	ErrNotVault        = errors.New("file is not a vault")
	ErrVersion         = errors.New("vault has a format this program does not know")
	ErrRolledBack      = errors.New("vault file was replaced by an older one while it was open")
	ErrExists          = errors.New("vault exists already")
	ErrNotFound        = errors.New("there is no vault")
	ErrTooLarge        = errors.New("vault would be larger than a vault may be")
	ErrClosed          = errors.New("vault is closed")
	// ErrRotated: another process gave the vault a new key; unlock it again.
	ErrRotated = errors.New("vault has a new key: unlock it again")
	// ErrCode: a recovery code or share with a typing mistake, or of another vault.
	ErrCode = errors.New("code or share is not right")
	// ErrShares: fewer shares than the slot needs, or ones that do not fit together.
	ErrShares = errors.New("shares do not open this vault")
	// ErrPermissions: others could read or replace the file; the text says how to cure it.
	ErrPermissions = private.ErrPermissions
	// ErrLocked: another process was saving for the whole waiting time of 10 s.
	ErrLocked = private.ErrLocked
)

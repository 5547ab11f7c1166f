package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
)

// PassphraseKey is a passphrase, as recipient and as identity.
type PassphraseKey struct {
	secret []byte
	cost   keys.Argon2id
}

// Passphrase seals with secret at the given cost, and opens with secret at the
// cost that the container states, within the limits of keys.Argon2id. The
// caller may wipe secret when done with the key.
func Passphrase(secret []byte, cost keys.Argon2id) *PassphraseKey {
	return &PassphraseKey{secret, cost}
}

// String hides the secret, so that no log or error can show it by accident.
func (*PassphraseKey) String() string { return "seal.Passphrase(hidden)" }

// GoString hides the secret from %#v.
func (p *PassphraseKey) GoString() string { return p.String() }

const passphraseSize = 16 + 4 + 4 + 1 + wrappedSize

// Wrap implements Recipient.
func (p *PassphraseKey) Wrap(k FileKey, f FileID) (Stanza, error) {
	var salt [16]byte
	rand.Read(salt[:])
	kek, err := p.kek(p.cost, salt, f)
	if err != nil {
		return Stanza{}, err
	}
	body := binary.BigEndian.AppendUint32(salt[:], p.cost.T)
	body = binary.BigEndian.AppendUint32(body, p.cost.MKiB)
	body = append(body, p.cost.P)
	wrapped, err := wrapGCM(kek, k)
	return Stanza{Type: TypePassphrase, Body: append(body, wrapped...)}, err
}

// Unwrap implements Identity. Errors wrap ErrPassphrase for a wrong secret,
// keys.ErrKDF for a cost outside the limits. A changed stanza cannot be told
// from a wrong secret.
func (p *PassphraseKey) Unwrap(s Stanza, f FileID) (FileKey, error) {
	if s.Type != TypePassphrase {
		return FileKey{}, ErrNotRecipient
	}
	cost, err := passphraseCost(s.Body)
	if err != nil {
		return FileKey{}, err
	}
	kek, err := p.kek(cost, [16]byte(s.Body), f)
	if err != nil {
		return FileKey{}, err
	}
	k, err := unwrapGCM(kek, s.Body[len(s.Body)-wrappedSize:])
	if errors.Is(err, ErrAuth) {
		err = fmt.Errorf("%w, or the first bytes of the container were changed", ErrPassphrase)
	}
	return k, err
}

func passphraseCost(body []byte) (keys.Argon2id, error) {
	if len(body) != passphraseSize {
		return keys.Argon2id{}, fmt.Errorf("%w: passphrase stanza of %d bytes, want %d", ErrHeader, len(body), passphraseSize)
	}
	return keys.Argon2id{
		T:    binary.BigEndian.Uint32(body[16:]),
		MKiB: binary.BigEndian.Uint32(body[20:]),
		P:    body[24],
	}, nil
}

func (p *PassphraseKey) kek(cost keys.Argon2id, salt [16]byte, f FileID) ([]byte, error) {
	k, err := cost.Derive(p.secret, salt)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, k[:], nil, string(doc.LP([]byte(domain+"/passphrase"), f[:])), keySize)
}

// EpochKey is the key of a project epoch, as recipient and as identity.
type EpochKey struct {
	project id.ID
	epoch   uint32
	key     [keySize]byte
}

// Epoch gives a container to everybody who holds the key of an epoch. The
// container shows the first 16 bytes of the project's id and the epoch.
func Epoch(project id.ID, epoch uint32, key [32]byte) *EpochKey {
	return &EpochKey{project, epoch, key}
}

// String hides the key, so that no log or error can show it by accident.
func (*EpochKey) String() string { return "seal.Epoch(hidden)" }

// GoString hides the key from %#v.
func (e *EpochKey) GoString() string { return e.String() }

// Wrap implements Recipient.
func (e *EpochKey) Wrap(k FileKey, f FileID) (Stanza, error) {
	kek, err := e.kek(f)
	if err != nil {
		return Stanza{}, err
	}
	wrapped, err := wrapGCM(kek, k)
	return Stanza{Type: TypeEpoch, Body: append(e.slot(), wrapped...)}, err
}

// Unwrap implements Identity.
func (e *EpochKey) Unwrap(s Stanza, f FileID) (FileKey, error) {
	slot := e.slot()
	if s.Type != TypeEpoch || len(s.Body) < len(slot) || string(s.Body[:len(slot)]) != string(slot) {
		return FileKey{}, ErrNotRecipient
	}
	kek, err := e.kek(f)
	if err != nil {
		return FileKey{}, err
	}
	return unwrapGCM(kek, s.Body[len(slot):])
}

func (e *EpochKey) slot() []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), e.project[:16]...), e.epoch)
}

func (e *EpochKey) kek(f FileID) ([]byte, error) {
	number := binary.BigEndian.AppendUint32(nil, e.epoch)
	info := doc.LP([]byte(domain+"/epoch"), f[:], e.project[:], number)
	return hkdf.Key(sha256.New, e.key[:], nil, string(info), keySize)
}

package grant

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// The errors of sealed keys.
var (
	// ErrSealed is wrapped when bytes are no sealed key at all.
	ErrSealed = errors.New("sealed job key is malformed")
	// ErrTerms is wrapped when a sealed key does not open: it was sealed for other
	// terms or to another key, or was changed. Which of these, nobody can tell.
	ErrTerms = errors.New("sealed job key is not for this job and this machine")
	// ErrExpired is wrapped when the terms are over.
	ErrExpired = errors.New("the time of the job is over")
)

const (
	domain    = "cipherdeck/grant/release/v1"
	version   = 1
	pointSize = 65
	// KeySize is the length of a job's key, in bytes.
	KeySize = 32
	// SealedSize is that of a sealed one: an encapsulated key, then AES-256-GCM.
	SealedSize = pointSize + KeySize + 16
)

// Terms is what a job's key is released for: one project, one grant, one job,
// and what that job may do. A key sealed for other terms does not open.
type Terms struct {
	V        uint8         `cbor:"1,keyasint"`
	Project  id.ID         `cbor:"2,keyasint"`
	Grant    id.ID         `cbor:"3,keyasint"`
	Job      [16]byte      `cbor:"4,keyasint"` // nonce of the job document
	Model    id.ID         `cbor:"5,keyasint"`
	Plan     id.ID         `cbor:"6,keyasint"`
	Inputs   id.ID         `cbor:"7,keyasint"`
	Op       chain.GrantOp `cbor:"8,keyasint"`
	NotAfter int64         `cbor:"9,keyasint"` // Unix seconds
}

// info is what HPKE binds a sealed key to: LP(domain) ‖ LP(CBOR(terms)).
func (t Terms) info() ([]byte, error) {
	t.V = version
	raw, err := doc.Encode(t)
	if err != nil {
		return nil, err
	}
	return doc.LP([]byte(domain), raw), nil
}

// Seal releases key to the machine whose key is point, for t. point must come
// from a verdict or a grant. Errors wrap ErrSealed when it is none.
func Seal(point []byte, t Terms, key [KeySize]byte) ([]byte, error) {
	info, err := t.info()
	if err != nil {
		return nil, err
	}
	pub, err := hpke.DHKEM(ecdh.P256()).NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("%w: the machine's key is no point on P-256", ErrSealed)
	}
	return hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), info, key[:])
}

// Open gives the key that was sealed for t to this machine's key. Errors wrap
// ErrSealed, ErrTerms, ErrExpired, ErrState or ErrGone, or are of the TPM.
func (k *Key) Open(sealed []byte, t Terms, now time.Time) ([KeySize]byte, error) {
	return open(k, sealed, t, now)
}

func open(k ecdh.KeyExchanger, sealed []byte, t Terms, now time.Time) (key [KeySize]byte, err error) {
	if now.Unix() >= t.NotAfter {
		return key, fmt.Errorf("%w: it ended at %s", ErrExpired, time.Unix(t.NotAfter, 0).UTC().Format(time.RFC3339))
	}
	if len(sealed) != SealedSize {
		return key, fmt.Errorf("%w: %d bytes, want %d", ErrSealed, len(sealed), SealedSize)
	}
	if _, err := ecdh.P256().NewPublicKey(sealed[:pointSize]); err != nil {
		return key, fmt.Errorf("%w: it begins with no point on P-256", ErrSealed)
	}
	info, err := t.info()
	if err != nil {
		return key, err
	}
	secret, err := hpke.NewDHKEMPrivateKey(k)
	if err != nil {
		return key, err
	}
	in, err := hpke.NewRecipient(sealed[:pointSize], secret, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return key, err // of the TPM
	}
	raw, err := in.Open(nil, sealed[pointSize:])
	if err != nil || len(raw) != KeySize {
		return key, ErrTerms
	}
	copy(key[:], raw)
	clear(raw)
	return key, nil
}

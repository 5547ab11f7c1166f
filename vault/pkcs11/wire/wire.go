// Package wire is what cipherdeck and its helper for PKCS#11 tokens say to each
// other: one request on the helper's standard input, one reply on its standard
// output, and then both are at their end.
//
// A message is
//
//	magic "CDP11" ‖ version 1, 1 byte ‖ u32 length ‖ body ‖ u16 length ‖ secret
//
// with big-endian lengths. The body is deterministic CBOR. The secret, which is
// the PIN one way and the opened secret the other, stands outside of it so that
// the encoder keeps no copies. docs/formats/vault.md has the fields.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"cipherdeck/crypto/doc"
)

// ErrMessage is wrapped by all errors of Read, ErrCut by those where something
// is missing.
var (
	ErrMessage = errors.New("not a message of the PKCS#11 helper")
	ErrCut     = fmt.Errorf("%w: cut short", ErrMessage)
)

// Limits of a message.
const (
	MaxBody   = 1 << 20
	MaxSecret = 1 << 10
	MaxText   = 200 // characters of a text from a token
)

const magic = "CDP11\x01"

// Op is what the helper is asked for.
type Op uint8

// The operations.
const (
	List    Op = 1 // what is there, without a PIN
	Find    Op = 2 // log in, and give the public key of the one that fits
	Make    Op = 3 // log in, and make a key pair with label Key
	Decrypt Op = 4 // log in, and open Wrapped with the key whose public key is Public
)

// Hash is the hash of OAEP, and of its mask.
type Hash uint8

// The hashes.
const (
	SHA256 Hash = 1
	SHA1   Hash = 2
)

// Request is what the helper shall do. Empty texts match everything.
type Request struct {
	Op      Op     `cbor:"1,keyasint"`
	Module  string `cbor:"2,keyasint"` // absolute path of the token's library
	Token   string `cbor:"3,keyasint"` // label
	Serial  string `cbor:"4,keyasint"`
	Key     string `cbor:"5,keyasint"` // CKA_LABEL
	KeyID   []byte `cbor:"6,keyasint"` // CKA_ID that the key had
	Public  []byte `cbor:"7,keyasint"` // SHA-256 of the public key, PKIX DER
	Hash    Hash   `cbor:"8,keyasint"`
	Wrapped []byte `cbor:"9,keyasint"`
}

// Code says how it went.
type Code uint8

// The codes.
const (
	OK         Code = 0
	NoModule   Code = 1  // the library is not there, or is none
	NoToken    Code = 2  // no token of that name
	OtherToken Code = 3  // a token of that name with another serial number
	NoKey      Code = 4  // no RSA key that fits
	OtherKey   Code = 5  // a key of that name that is another
	Choose     Code = 6  // several fit
	Exists     Code = 7  // there is such a key already
	WrongPIN   Code = 8  // the token refused the PIN
	Locked     Code = 9  // the token takes no PIN any more
	Refused    Code = 10 // the token does not do what is needed
	Failed     Code = 11 // another error of the token or its library
	Bad        Code = 12 // the helper did not understand the request
	NoCgo      Code = 13 // the helper was built without cgo
)

// Token is what a token says of itself.
type Token struct {
	Label        string `cbor:"1,keyasint"`
	Serial       string `cbor:"2,keyasint"`
	Manufacturer string `cbor:"3,keyasint"`
	Model        string `cbor:"4,keyasint"`
	OAEP         bool   `cbor:"5,keyasint"` // says that it decrypts RSA-OAEP
	Locked       bool   `cbor:"6,keyasint"` // takes no PIN any more
	Low          bool   `cbor:"7,keyasint"` // there were wrong PINs
	Last         bool   `cbor:"8,keyasint"` // one more wrong PIN locks it
	Keys         []Key  `cbor:"9,keyasint"` // RSA public keys that are seen
}

// Key is an RSA public key of a token.
type Key struct {
	Label  string `cbor:"1,keyasint"`
	ID     []byte `cbor:"2,keyasint"`
	Public []byte `cbor:"3,keyasint"` // PKIX DER
}

// Reply is what came of it: Tokens of List; one token with one key of Find and
// Make.
type Reply struct {
	Code   Code    `cbor:"1,keyasint"`
	Text   string  `cbor:"2,keyasint"` // for people, if Code is not OK
	Tokens []Token `cbor:"3,keyasint"`
}

// Write writes a message.
func Write(w io.Writer, body any, secret []byte) error {
	b, err := doc.Encode(body)
	if err != nil {
		return err
	}
	if len(b) > MaxBody || len(secret) > MaxSecret {
		return fmt.Errorf("%w: body of %d and secret of %d bytes", ErrMessage, len(b), len(secret))
	}
	m := make([]byte, 0, len(magic)+4+len(b)+2+len(secret))
	defer func() { clear(m) }()
	m = append(m, magic...)
	m = append(binary.BigEndian.AppendUint32(m, uint32(len(b))), b...)
	m = append(binary.BigEndian.AppendUint16(m, uint16(len(secret))), secret...)
	_, err = w.Write(m)
	return err
}

// Read reads the one message that r has until its end. The caller wipes the
// secret.
func Read(r io.Reader, body any) (secret []byte, err error) {
	head := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, ErrCut
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, fmt.Errorf("%w: begins with other bytes, or is of another version", ErrMessage)
	}
	b, err := part(r, int64(binary.BigEndian.Uint32(head[len(magic):])), MaxBody)
	if err != nil {
		return nil, err
	}
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, ErrCut
	}
	if secret, err = part(r, int64(binary.BigEndian.Uint16(n[:])), MaxSecret); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, n[:1]); err != io.EOF {
		clear(secret)
		return nil, fmt.Errorf("%w: something follows it", ErrMessage)
	}
	if err := doc.Decode(b, body); err != nil {
		clear(secret)
		return nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	return secret, nil
}

func part(r io.Reader, n, limit int64) ([]byte, error) {
	if n > limit {
		return nil, fmt.Errorf("%w: a part of %d bytes, limit %d", ErrMessage, n, limit)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		clear(b)
		return nil, ErrCut
	}
	return b, nil
}

// Plain is a text of a token as it can be shown: at most MaxText characters
// that a terminal shows as themselves, without blanks around them. Both sides
// compare texts in this form.
func Plain(s string) string {
	n := 0
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if n++; n > MaxText || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

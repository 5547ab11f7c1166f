// Package id names immutable bytes by what they are.
//
// Everything cipherdeck stores outside the vault (blocks of ciphertext, links
// of a chain, job documents) is named by the SHA-256 of its bytes. Whoever
// holds a name can check what he is given for it, so a store needs no trust:
// it can withhold bytes, never swap them.
//
// Shown to a person or published, a name is written as a CIDv1 (raw codec,
// sha2-256, lower-case base32), the form that IPFS tools read.
package id

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// Size is the length of an ID in bytes.
const Size = sha256.Size

// ID is the SHA-256 of the named bytes. The zero ID names nothing.
type ID [Size]byte

// ErrSyntax is wrapped by Parse when the text is not an ID.
var ErrSyntax = errors.New("not a content id")

// cidPrefix is CIDv1, codec raw (0x55), multihash sha2-256 (0x12) of 32 bytes.
// See https://github.com/multiformats/cid.
const cidPrefix = "\x01\x55\x12\x20"

func encoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// Of names b.
func Of(b []byte) ID { return sha256.Sum256(b) }

// FromBytes makes an ID of exactly 32 raw bytes.
func FromBytes(b []byte) (ID, error) {
	var i ID
	if len(b) != Size {
		return i, fmt.Errorf("%w: %d bytes, want %d", ErrSyntax, len(b), Size)
	}
	copy(i[:], b)
	return i, nil
}

// IsZero reports whether i names nothing.
func (i ID) IsZero() bool { return i == ID{} }

// String is the CIDv1 of i: "b" and 58 characters.
func (i ID) String() string {
	return "b" + encoding().EncodeToString([]byte(cidPrefix+string(i[:])))
}

// Short is enough of the ID for a screen: it identifies nothing securely.
func (i ID) Short() string {
	s := i.String()
	return s[7:15]
}

// Compare orders IDs by their bytes.
func Compare(a, b ID) int { return bytes.Compare(a[:], b[:]) }

// Parse reads what String writes. Errors wrap ErrSyntax.
func Parse(s string) (ID, error) {
	rest, ok := strings.CutPrefix(s, "b")
	raw, err := encoding().DecodeString(rest)
	if !ok || err != nil || len(raw) != len(cidPrefix)+Size || string(raw[:len(cidPrefix)]) != cidPrefix {
		return ID{}, fmt.Errorf("%w: %q", ErrSyntax, clip(s))
	}
	i, err := FromBytes(raw[len(cidPrefix):])
	if err != nil || i.String() != s { // unused base32 bits must be zero
		return ID{}, fmt.Errorf("%w: %q", ErrSyntax, clip(s))
	}
	return i, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// MarshalText writes the CIDv1, so that JSON shows IDs as people see them.
func (i ID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (i *ID) UnmarshalText(b []byte) (err error) {
	*i, err = Parse(string(b))
	return err
}

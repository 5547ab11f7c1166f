package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// The kinds of key, which are the signature types of C2SP.
const (
	Log     byte = 0x01 // signs checkpoints
	Witness byte = 0x04 // cosigns them, with the time: cosignature/v1
)

const (
	maxKeyName = 255
	stampSize  = 8
)

// Key is the public key of a log or of a witness, with the name that it signs
// under: for a log, its origin.
type Key struct {
	Name   string
	Kind   byte
	Public ed25519.PublicKey
}

// NewKey makes a key. Errors wrap ErrKey.
func NewKey(kind byte, name string, pub ed25519.PublicKey) (Key, error) {
	k := Key{Name: name, Kind: kind, Public: pub}
	switch {
	case kind != Log && kind != Witness:
		return Key{}, fmt.Errorf("%w: signature type %d", ErrKey, kind)
	case len(pub) != ed25519.PublicKeySize:
		return Key{}, fmt.Errorf("%w: %d bytes, want %d", ErrKey, len(pub), ed25519.PublicKeySize)
	case name == "" || len(name) > maxKeyName || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable):
		return Key{}, fmt.Errorf("%w: its name must be 1 to %d bytes that can be shown, without space or +", ErrKey, maxKeyName)
	}
	return k, nil
}

func unprintable(r rune) bool { return r == '+' || unicode.IsSpace(r) || !unicode.IsPrint(r) }

// ParseKey reads a vkey, NAME+HASH+KEY. Errors wrap ErrKey.
func ParseKey(s string) (Key, error) {
	part := strings.SplitN(strings.TrimSpace(s), "+", 3)
	if len(part) != 3 {
		return Key{}, fmt.Errorf("%w: want NAME+HASH+KEY", ErrKey)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(part[2])
	if err != nil || len(raw) == 0 {
		return Key{}, fmt.Errorf("%w: %s: the part after the second + is not base64", ErrKey, clip(part[0]))
	}
	k, err := NewKey(raw[0], part[0], raw[1:])
	if err != nil {
		return Key{}, err
	}
	if k.String() != strings.TrimSpace(s) {
		return Key{}, fmt.Errorf("%w: %s: the hash does not go with the key; was a character lost?", ErrKey, k.Name)
	}
	return k, nil
}

// String is the vkey.
func (k Key) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.hash(), base64.StdEncoding.EncodeToString(k.material()))
}

func (k Key) material() []byte { return append([]byte{k.Kind}, k.Public...) }

func (k Key) hash() uint32 {
	sum := sha256.Sum256(append([]byte(k.Name+"\n"), k.material()...))
	return binary.BigEndian.Uint32(sum[:])
}

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.Public == nil }

// Equal reports whether two keys are the same under the same name.
func (k Key) Equal(o Key) bool {
	return k.Name == o.Name && k.Kind == o.Kind && k.Public.Equal(o.Public)
}

// verifier is a Key as notes want it.
type verifier struct{ k Key }

// Name is the name of the signer.
func (v verifier) Name() string { return v.k.Name }

// KeyHash is the hint that signature lines carry.
func (v verifier) KeyHash() uint32 { return v.k.hash() }

// Verify checks the signature of a note's text.
func (v verifier) Verify(text, sig []byte) bool {
	if v.k.Kind == Log {
		return ed25519.Verify(v.k.Public, text, sig)
	}
	if len(sig) != stampSize+ed25519.SignatureSize || sig[0]&0x80 != 0 {
		return false
	}
	return ed25519.Verify(v.k.Public, cosigned(binary.BigEndian.Uint64(sig), text), sig[stampSize:])
}

// cosigned is the message of a cosignature.
func cosigned(unix uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", unix), text...)
}

// Signer is a private key that signs notes as k.
type Signer struct {
	Key
	private ed25519.PrivateKey
	now     func() time.Time
}

// NewSigner signs as kind under name; now stamps cosignatures.
func NewSigner(kind byte, name string, private ed25519.PrivateKey, now func() time.Time) (*Signer, error) {
	k, err := NewKey(kind, name, private.Public().(ed25519.PublicKey))
	return &Signer{Key: k, private: private, now: now}, err
}

// String hides the private key.
func (s *Signer) String() string { return "tlog.Signer(" + s.Key.Name + ")" }

// Note is the signer as notes want it.
func (s *Signer) Note() note.Signer { return noteSigner{s} }

type noteSigner struct{ s *Signer }

// Name is the name of the signer.
func (n noteSigner) Name() string { return n.s.Key.Name }

// KeyHash is the hint that signature lines carry.
func (n noteSigner) KeyHash() uint32 { return n.s.hash() }

// Sign signs the text of a note.
func (n noteSigner) Sign(text []byte) ([]byte, error) {
	if n.s.Kind == Log {
		return ed25519.Sign(n.s.private, text), nil
	}
	at := uint64(max(0, n.s.now().Unix()))
	return append(binary.BigEndian.AppendUint64(nil, at), ed25519.Sign(n.s.private, cosigned(at, text))...), nil
}

// Cosign is the signature line of s on a checkpoint that was verified.
func (s *Signer) Cosign(c Checkpoint) ([]byte, error) {
	n, err := note.Sign(&note.Note{Text: c.Text()}, s.Note())
	if err != nil {
		return nil, err
	}
	_, line, _ := strings.Cut(string(n), "\n\n")
	return []byte(line), nil
}

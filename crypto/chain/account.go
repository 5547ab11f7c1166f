package chain

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// GenesisType is the document type of the first link of an account chain.
const GenesisType = "account/genesis"

// MaxGenesis bounds the signed form of an account genesis, in bytes.
const MaxGenesis = 8 << 10

// Sizes of the fixed-length keys in an account.
const (
	xwingKeySize = 1216
	minRSABits   = 2048
	maxRSABits   = 8192
	maxName      = 64
)

// firstDevice is the name of the device that made the account.
const firstDevice = "first"

// UID names an account: the first 20 bytes of the SHA-256 of its signed
// genesis. It cannot be chosen, and it pins every key in the genesis.
type UID [20]byte

// String is 32 characters of lower-case base32.
func (u UID) String() string { return strings.ToLower(base32.StdEncoding.EncodeToString(u[:])) }

// Short is enough of the UID for a screen: it identifies nothing securely.
func (u UID) Short() string { return u.String()[:8] }

// MarshalText writes the text form.
func (u UID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (u *UID) UnmarshalText(b []byte) (err error) {
	*u, err = ParseUID(string(b))
	return err
}

// ParseUID reads what String writes. Errors wrap ErrAccount.
func ParseUID(s string) (UID, error) {
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(raw) != len(UID{}) || strings.ToLower(s) != s {
		return UID{}, fmt.Errorf("%w: user id is 32 characters of a-z and 2-7", ErrAccount)
	}
	return UID(raw), nil
}

// ErrAccount is wrapped when an account genesis or a user id is not valid.
var ErrAccount = errors.New("account is not valid")

// Kind says what an account is.
type Kind string

// The kinds of account.
const (
	Person Kind = "person" // has an RSA identity root; may be a member
	Node   Kind = "node"   // a compute node; may be granted jobs, never a member
)

// genesis is the signed body. The account's RSA key (its root) and its first
// device's Ed25519 key both sign it; a node has no RSA key.
type genesis struct {
	V       uint8  `cbor:"1,keyasint"`
	Kind    Kind   `cbor:"2,keyasint"`
	Name    string `cbor:"3,keyasint"` // the owner's word for himself; proves nothing
	Created int64  `cbor:"4,keyasint"` // Unix milliseconds, advisory
	RSA     []byte `cbor:"5,keyasint"` // SubjectPublicKeyInfo DER; empty for a node
	Device  []byte `cbor:"6,keyasint"` // Ed25519, 32 bytes
	XWing   []byte `cbor:"7,keyasint"` // X-Wing encapsulation key, 1216 bytes
}

// Account is a verified account: its genesis and the links after it that were
// followed. It is never changed: Next makes a new one.
type Account struct {
	UID     UID
	Raw     []byte // the signed genesis
	ID      id.ID  // of Raw
	Kind    Kind
	Name    string
	Created int64
	Device  ed25519.PublicKey // of the genesis; it may be revoked: see Devices
	XWing   []byte            // in force
	RSA     *rsa.PublicKey    // in force; nil for a node

	Devices   []Device // in the order in which they were added; the first is the one of the genesis
	Seq       uint64   // links followed
	Head      id.ID    // id of the last one; of the genesis when there is none
	Links     [][]byte // the signed links, in order
	Rotations int      // how often RSA and XWing were changed
}

// NewAccount signs a genesis. rsaKey is nil for a node.
func NewAccount(kind Kind, name string, created int64, rsaKey *rsa.PrivateKey, device ed25519.PrivateKey, xwing []byte) (*Account, error) {
	g := genesis{V: 1, Kind: kind, Name: name, Created: created, Device: device.Public().(ed25519.PublicKey), XWing: xwing, RSA: []byte{}}
	if rsaKey == nil {
		return sign(g, device)
	}
	return g.rooted(rsaKey, device)
}

// NewSameAccount is NewAccount for a person who must come out alike on every
// machine that has these keys: there is no date in it (Created is 0) and no
// chance in its signatures, so the same keys and name give the same UID.
func NewSameAccount(name string, root doc.Same, device ed25519.PrivateKey, xwing []byte) (*Account, error) {
	g := genesis{V: 1, Kind: Person, Name: name, Device: device.Public().(ed25519.PublicKey), XWing: xwing}
	return g.rooted(root, device)
}

// rooted signs the genesis of a person.
func (g genesis) rooted(root crypto.Signer, device ed25519.PrivateKey) (_ *Account, err error) {
	if g.RSA, err = x509.MarshalPKIXPublicKey(root.Public()); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAccount, err)
	}
	return sign(g, device, root)
}

func sign(g genesis, signers ...crypto.Signer) (*Account, error) {
	raw, err := doc.Sign(GenesisType, g, signers...)
	if err != nil {
		return nil, err
	}
	return OpenAccount(raw)
}

// OpenAccount verifies a signed genesis: its shape, the length of every key,
// and that every key in it that can sign did. Errors wrap ErrAccount.
func OpenAccount(raw []byte) (*Account, error) {
	var a *Account
	keys := func(k doc.KeyID, body []byte) (pub crypto.PublicKey, err error) {
		if a == nil {
			if a, err = parseGenesis(body); err != nil {
				return nil, err
			}
		}
		return doc.Keys(a.signers()...)(k, nil)
	}
	s, name, err := doc.Open(raw, GenesisType, MaxGenesis, keys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccount, err)
	}
	for _, p := range a.signers() {
		k, err := doc.KeyIDOf(p)
		if err != nil || !s.SignedBy(k) {
			return nil, fmt.Errorf("%w: key %s in the genesis did not sign it", ErrAccount, k)
		}
	}
	return a, a.name(raw, name)
}

// name completes an account whose genesis raw has the id name.
func (a *Account) name(raw []byte, name id.ID) error {
	a.Raw, a.ID, a.UID, a.Head = append([]byte(nil), raw...), name, uidOf(raw), name
	kid, err := doc.KeyIDOf(a.Device)
	a.Devices = []Device{{ID: kid, Name: firstDevice, Sign: a.Device, XWing: a.XWing}}
	return err
}

func (a *Account) signers() []crypto.PublicKey {
	if a.RSA == nil {
		return []crypto.PublicKey{a.Device}
	}
	return []crypto.PublicKey{a.Device, a.RSA}
}

func parseGenesis(body []byte) (*Account, error) {
	var g genesis
	if err := doc.Decode(body, &g); err != nil {
		return nil, err
	}
	a := &Account{Kind: g.Kind, Name: g.Name, Created: g.Created, Device: g.Device, XWing: g.XWing}
	switch {
	case g.V != 1:
		return nil, fmt.Errorf("%w: field v is %d, want 1", ErrAccount, g.V)
	case g.Kind != Person && g.Kind != Node:
		return nil, fmt.Errorf("%w: field kind is %q, want person or node", ErrAccount, g.Kind)
	case len(g.Device) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("%w: field device has %d bytes, want %d", ErrAccount, len(g.Device), ed25519.PublicKeySize)
	case len(g.XWing) != xwingKeySize:
		return nil, fmt.Errorf("%w: field xwing has %d bytes, want %d", ErrAccount, len(g.XWing), xwingKeySize)
	case (g.Kind == Person) != (len(g.RSA) > 0):
		return nil, fmt.Errorf("%w: a person has an RSA key, a node has none", ErrAccount)
	}
	if err := CheckName(g.Name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccount, err)
	}
	if len(g.RSA) > 0 {
		return a, a.setRSA(g.RSA)
	}
	return a, nil
}

func (a *Account) setRSA(der []byte) error {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return fmt.Errorf("%w: field rsa: %v", ErrAccount, err)
	}
	k, ok := pub.(*rsa.PublicKey)
	if !ok || k.E != 65537 || k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits {
		return fmt.Errorf("%w: field rsa: want an RSA key of %d to %d bits with e = 65537", ErrAccount, minRSABits, maxRSABits)
	}
	a.RSA = k
	return nil
}

// CheckName refuses names that a screen could not show safely: empty, longer
// than 64 bytes, not UTF-8, or with anything but letters, digits, marks,
// spaces and . - _ @ +.
func CheckName(s string) error {
	if s == "" || len(s) > maxName || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return fmt.Errorf("name must be 1 to %d bytes of UTF-8 with no space at its ends", maxName)
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(" .-_@+", r) {
			return fmt.Errorf("name has the character %U: use letters, digits, space and . - _ @ +", r)
		}
	}
	return nil
}

func uidOf(raw []byte) UID {
	sum := sha256.Sum256(raw)
	return UID(sum[:20])
}

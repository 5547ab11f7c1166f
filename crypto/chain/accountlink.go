package chain

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// AccountLinkType is the document type of the links after an account genesis.
const AccountLinkType = "account/link"

// Bounds of an account chain.
const (
	MaxAccountLink  = 24 << 10 // bytes of the signed form of one link
	MaxAccountLinks = 64       // after the genesis
	maxDevices      = 16       // valid ones
)

// ErrKeysChanged is wrapped when an account's keys are not the ones that were
// accepted before.
var ErrKeysChanged = errors.New("the person's keys changed")

// The kinds of account link.
const (
	// AccountPQ gives the device of the genesis its ML-DSA-65 key.
	AccountPQ = "ml-dsa"
	// AccountDevice adds a device.
	AccountDevice = "device"
	// AccountRevoke ends a device.
	AccountRevoke = "revoke"
	// AccountRotate changes the RSA and X-Wing keys that things are sealed to.
	AccountRotate = "rotate"
)

// accountLink is the signed body. The account's RSA key signs every link, so
// that a stolen device alone can neither add nor revoke one; so does the acting
// device, and every key that the link brings.
type accountLink struct {
	V      uint8     `cbor:"1,keyasint"`
	UID    UID       `cbor:"2,keyasint"`
	Seq    uint64    `cbor:"3,keyasint"` // 1 after the genesis
	Prev   id.ID     `cbor:"4,keyasint"` // id of the link before, of the genesis first
	Time   int64     `cbor:"5,keyasint"` // Unix milliseconds, advisory
	Device doc.KeyID `cbor:"6,keyasint"` // who acts
	Kind   string    `cbor:"7,keyasint"`
	Body   doc.Raw   `cbor:"8,keyasint"`
}

// pqBody is the body of AccountPQ.
type pqBody struct {
	Key []byte `cbor:"1,keyasint"`
}

// deviceBody is the body of AccountDevice.
type deviceBody struct {
	Request []byte `cbor:"1,keyasint"` // signed by the new device: see request.go
}

// revokeBody is the body of AccountRevoke.
type revokeBody struct {
	Device doc.KeyID `cbor:"1,keyasint"`
}

// rotateBody is the body of AccountRotate.
type rotateBody struct {
	RSA   []byte `cbor:"1,keyasint"` // SubjectPublicKeyInfo DER
	XWing []byte `cbor:"2,keyasint"`
}

// OpenAccountChain verifies a genesis and the links after it.
func OpenAccountChain(genesis []byte, links [][]byte) (*Account, error) {
	a, err := OpenAccount(genesis)
	if err != nil {
		return nil, err
	}
	return a.Follow(links)
}

// Follow verifies links as those after a. With none it is a itself.
func (a *Account) Follow(links [][]byte) (*Account, error) {
	for _, raw := range links {
		n, err := a.Next(raw)
		if err != nil {
			return nil, err
		}
		a = n
	}
	return a, nil
}

// Next verifies raw as the link after a and gives the account after it; a is not
// changed. The checks, in order: size and encoding, account, sequence, link
// before, acting device, rules of the kind, and that exactly the keys signed
// that the kind asks for. Errors wrap ErrAccount.
func (a *Account) Next(raw []byte) (*Account, error) {
	var n *Account
	var want []crypto.PublicKey
	keys := func(k doc.KeyID, body []byte) (_ crypto.PublicKey, err error) {
		if n == nil {
			var l accountLink
			if err := doc.Decode(body, &l); err != nil {
				return nil, err
			}
			if n, want, err = a.apply(&l); err != nil {
				return nil, err
			}
		}
		return doc.Keys(want...)(k, nil)
	}
	s, name, err := doc.Open(raw, AccountLinkType, MaxAccountLink, keys)
	if err != nil {
		return nil, fmt.Errorf("%w: link %d: %w", ErrAccount, a.Seq+1, err)
	}
	if err := signedByAll(s, want); err != nil {
		return nil, fmt.Errorf("%w: link %d: %w", ErrAccount, a.Seq+1, err)
	}
	n.follow(a, raw, name)
	return n, nil
}

// follow completes n, the account after a, by the link raw that led to it.
func (n *Account) follow(a *Account, raw []byte, name id.ID) {
	n.Seq, n.Head = a.Seq+1, name
	n.Links = append(slices.Clone(a.Links), slices.Clone(raw))
}

// signedByAll reports whether exactly the keys of want signed s.
func signedByAll(s doc.Signed, want []crypto.PublicKey) error {
	if len(s.Sigs) != len(want) {
		return fmt.Errorf("%w: %d signatures, want %d", doc.ErrUnsigned, len(s.Sigs), len(want))
	}
	for _, p := range want {
		k, err := doc.KeyIDOf(p)
		if err != nil {
			return err
		}
		if !s.SignedBy(k) {
			return fmt.Errorf("%w: key %s did not sign", doc.ErrUnsigned, k)
		}
	}
	return nil
}

// apply gives the account after l and the keys that must have signed it.
func (a *Account) apply(l *accountLink) (*Account, []crypto.PublicKey, error) {
	switch {
	case l.V != 1:
		return nil, nil, fmt.Errorf("field v is %d, want 1", l.V)
	case a.RSA == nil:
		return nil, nil, fmt.Errorf("a node's account has no links")
	case l.UID != a.UID || l.Seq != a.Seq+1 || l.Prev != a.Head:
		return nil, nil, fmt.Errorf("%w: seq %d after %s, the account is at %d %s", ErrOrder, l.Seq, l.Prev.Short(), a.Seq, a.Head.Short())
	case l.Seq > MaxAccountLinks:
		return nil, nil, fmt.Errorf("%d links are the most an account can have", MaxAccountLinks)
	}
	actor, ok := a.Valid(l.Device)
	if !ok {
		return nil, nil, fmt.Errorf("device %s is not a valid one of this account", l.Device)
	}
	n := a.clone()
	want := append([]crypto.PublicKey{a.RSA}, actor.All()...)
	more, err := n.change(l)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", l.Kind, err)
	}
	return n, append(want, more...), nil
}

// change applies l to n, a copy, and gives the keys that l brings: they must
// sign it, so that nobody can claim a key that he does not have.
func (n *Account) change(l *accountLink) ([]crypto.PublicKey, error) {
	switch l.Kind {
	case AccountPQ:
		return n.addPQ(l)
	case AccountDevice:
		return n.addDevice(l)
	case AccountRevoke:
		return nil, n.revoke(l)
	case AccountRotate:
		return n.rotate(l)
	}
	return nil, fmt.Errorf("the kind is not known")
}

func (n *Account) addPQ(l *accountLink) ([]crypto.PublicKey, error) {
	var b pqBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return nil, err
	}
	pq, err := parsePQ(b.Key)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(n.Devices, func(d Device) bool { return d.ID == l.Device })
	if n.Devices[i].PQ != nil {
		return nil, fmt.Errorf("the device has an ML-DSA key")
	}
	n.Devices[i].PQ = b.Key
	return []crypto.PublicKey{pq}, nil
}

func (n *Account) addDevice(l *accountLink) ([]crypto.PublicKey, error) {
	var b deviceBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return nil, err
	}
	d, err := openRequest(b.Request, n.UID)
	if err != nil {
		return nil, err
	}
	d.Added = l.Seq
	valid := 0
	for _, o := range n.Devices {
		if o.ID == d.ID {
			return nil, fmt.Errorf("device %s was added before", d.ID)
		}
		if o.Revoked == 0 {
			valid++
		}
	}
	if valid >= maxDevices {
		return nil, fmt.Errorf("%d devices are the most an account can have", maxDevices)
	}
	n.Devices = append(n.Devices, d)
	return nil, nil // the device signed its request
}

func (n *Account) revoke(l *accountLink) error {
	var b revokeBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if b.Device == l.Device {
		return fmt.Errorf("a device cannot revoke itself: do it from another one")
	}
	for i := range n.Devices {
		if n.Devices[i].ID == b.Device && n.Devices[i].Revoked == 0 {
			n.Devices[i].Revoked = l.Seq
			return nil
		}
	}
	return fmt.Errorf("device %s is not a valid one of this account", b.Device)
}

func (n *Account) rotate(l *accountLink) ([]crypto.PublicKey, error) {
	var b rotateBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return nil, err
	}
	if len(b.XWing) != xwingKeySize {
		return nil, fmt.Errorf("field xwing has %d bytes, want %d", len(b.XWing), xwingKeySize)
	}
	old := n.RSA
	if err := n.setRSA(b.RSA); err != nil {
		return nil, err
	}
	if n.RSA.Equal(old) {
		return nil, fmt.Errorf("the RSA key is the old one")
	}
	n.XWing = b.XWing
	n.Rotations++
	return []crypto.PublicKey{n.RSA}, nil
}

func (a *Account) clone() *Account {
	n := *a
	n.Devices = slices.Clone(a.Devices)
	return &n
}

// Author is who signs an account link: the account's RSA key (an
// *rsa.PrivateKey, or doc.Same for an identity that must come out alike on two
// machines) and a device.
type Author struct {
	Root   crypto.Signer
	Device Key
}

// GivePQ signs the link that gives the device of the genesis its ML-DSA key.
// unix is in milliseconds.
func (a *Account) GivePQ(by Author, unix int64) (*Account, error) {
	return a.extend(AccountPQ, pqBody{Key: by.Device.PQ.PublicKey().Bytes()}, Author{by.Root, Key{Sign: by.Device.Sign}}, unix, by.Device.PQ)
}

// AddDevice signs the link that adds the device which made request.
func (a *Account) AddDevice(by Author, request []byte, unix int64) (*Account, error) {
	return a.extend(AccountDevice, deviceBody{Request: request}, by, unix)
}

// RevokeDevice signs the link that ends device k.
func (a *Account) RevokeDevice(by Author, k doc.KeyID, unix int64) (*Account, error) {
	return a.extend(AccountRevoke, revokeBody{Device: k}, by, unix)
}

// Rotate signs the link that changes the keys of the account to root and xwing.
func (a *Account) Rotate(by Author, root *rsa.PrivateKey, xwing []byte, unix int64) (*Account, error) {
	der, err := x509.MarshalPKIXPublicKey(&root.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAccount, err)
	}
	return a.extend(AccountRotate, rotateBody{RSA: der, XWing: xwing}, by, unix, root)
}

// extend signs a link after a and verifies it as a reader would.
func (a *Account) extend(kind string, body any, by Author, unix int64, more ...crypto.Signer) (*Account, error) {
	enc, err := doc.Encode(body)
	if err != nil {
		return nil, err
	}
	dev, err := by.Device.ID()
	if err != nil {
		return nil, err
	}
	l := accountLink{V: 1, UID: a.UID, Seq: a.Seq + 1, Prev: a.Head, Time: unix, Device: dev, Kind: kind, Body: enc}
	signers := append([]crypto.Signer{by.Root}, by.Device.signers(true)...)
	raw, err := doc.Sign(AccountLinkType, l, append(signers, more...)...)
	if err != nil {
		return nil, err
	}
	return a.Next(raw)
}

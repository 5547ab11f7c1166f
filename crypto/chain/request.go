package chain

import (
	"crypto"
	"crypto/ed25519"
	"fmt"

	"cipherdeck/crypto/doc"
)

// RequestType is the document type of a device that asks to belong to an account.
const RequestType = "account/device"

// MaxRequest bounds the signed form of a request, in bytes.
const MaxRequest = 8 << 10

// request is the signed body: the keys of a machine and the account that it
// wants to belong to. The machine's own keys sign it, so that nobody can bring a
// key into his account that he does not hold.
type request struct {
	V     uint8  `cbor:"1,keyasint"`
	UID   UID    `cbor:"2,keyasint"`
	Name  string `cbor:"3,keyasint"`
	Sign  []byte `cbor:"4,keyasint"` // Ed25519, 32 bytes
	PQ    []byte `cbor:"5,keyasint"` // ML-DSA-65, 1952 bytes
	XWing []byte `cbor:"6,keyasint"` // X-Wing encapsulation key, 1216 bytes
}

// NewRequest signs the request of the device with key and X-Wing public key
// xwing to belong to account u, under a name.
func NewRequest(u UID, name string, key Key, xwing []byte) ([]byte, error) {
	r := request{V: 1, UID: u, Name: name, Sign: key.Sign.Public().(ed25519.PublicKey), PQ: key.PQ.PublicKey().Bytes(), XWing: xwing}
	raw, err := doc.Sign(RequestType, r, key.signers(true)...)
	if err != nil {
		return nil, err
	}
	_, err = openRequest(raw, u)
	return raw, err
}

// OpenRequest verifies a request and says for which account it is. Errors wrap
// ErrAccount.
func OpenRequest(raw []byte) (Device, UID, error) {
	d, u, err := readRequest(raw)
	if err != nil {
		return Device{}, UID{}, fmt.Errorf("%w: device request: %w", ErrAccount, err)
	}
	return d, u, nil
}

func openRequest(raw []byte, want UID) (Device, error) {
	d, u, err := readRequest(raw)
	if err == nil && u != want {
		err = fmt.Errorf("the device asks for account %s, not %s", u, want)
	}
	return d, err
}

func readRequest(raw []byte) (d Device, u UID, err error) {
	read := false
	keys := func(k doc.KeyID, body []byte) (crypto.PublicKey, error) {
		if !read {
			if d, u, err = parseRequest(body); err != nil {
				return nil, err
			}
			read = true
		}
		return doc.Keys(d.keys(true)...)(k, nil)
	}
	s, _, err := doc.Open(raw, RequestType, MaxRequest, keys)
	if err != nil {
		return Device{}, UID{}, err
	}
	return d, u, signedByAll(s, d.keys(true))
}

func parseRequest(body []byte) (Device, UID, error) {
	var r request
	if err := doc.Decode(body, &r); err != nil {
		return Device{}, UID{}, err
	}
	if err := CheckName(r.Name); err != nil {
		return Device{}, UID{}, err
	}
	if r.V != 1 || len(r.Sign) != ed25519.PublicKeySize || len(r.XWing) != xwingKeySize {
		return Device{}, UID{}, fmt.Errorf("version %d, keys of %d and %d bytes", r.V, len(r.Sign), len(r.XWing))
	}
	if _, err := parsePQ(r.PQ); err != nil {
		return Device{}, UID{}, err
	}
	id, err := doc.KeyIDOf(ed25519.PublicKey(r.Sign))
	return Device{ID: id, Name: r.Name, Sign: r.Sign, PQ: r.PQ, XWing: r.XWing}, r.UID, err
}

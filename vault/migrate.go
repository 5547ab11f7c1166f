package vault

import (
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault/secret"
)

// content is what a vault file of this version seals.
type content struct {
	State   State     `cbor:"1,keyasint"`
	Pending []pending `cbor:"2,keyasint"` // a rotation of the vault key that is not finished
}

// accountV1 is an account of versions 1 and 2: no seed came from a typed secret.
type accountV1 struct {
	Name    string   `cbor:"1,keyasint"`
	Seed    [32]byte `cbor:"2,keyasint"`
	Device  [32]byte `cbor:"3,keyasint"`
	RSA     []byte   `cbor:"4,keyasint"`
	Genesis []byte   `cbor:"5,keyasint"`
}

func (a accountV1) account() Account {
	return Account{Name: a.Name, Seed: a.Seed, Device: a.Device, RSA: a.RSA, Genesis: a.Genesis}
}

// contentV2 is the body of version 2: there was no journal.
type contentV2 struct {
	State   stateV2   `cbor:"1,keyasint"`
	Pending []pending `cbor:"2,keyasint"`
}

type stateV2 struct {
	Account  accountV1          `cbor:"1,keyasint"`
	People   map[string]Person  `cbor:"2,keyasint"`
	Servers  map[string]Server  `cbor:"3,keyasint"`
	Projects map[string]Project `cbor:"4,keyasint"`
	Secrets  secret.Set         `cbor:"5,keyasint"`
}

// stateV1 is the whole body of version 1: there were no secrets and no rotation.
type stateV1 struct {
	Account  accountV1          `cbor:"1,keyasint"`
	People   map[string]Person  `cbor:"2,keyasint"`
	Servers  map[string]Server  `cbor:"3,keyasint"`
	Projects map[string]Project `cbor:"4,keyasint"`
}

// decodeBody reads the body of a file of any version that is known, in the
// shape of the newest. The result shares no memory with plain.
func decodeBody(v uint16, plain []byte) (content, error) {
	var b content
	switch v {
	case 1:
		var old stateV1
		if err := doc.Decode(plain, &old); err != nil {
			return content{}, err
		}
		b.State = State{Account: old.Account.account(), People: old.People, Servers: old.Servers, Projects: old.Projects}
	case 2:
		var old contentV2
		if err := doc.Decode(plain, &old); err != nil {
			return content{}, err
		}
		s := old.State
		b.State = State{Account: s.Account.account(), People: s.People, Servers: s.Servers, Projects: s.Projects, Secrets: s.Secrets}
		b.Pending = old.Pending
	case 3, version: // 4 only added fields that a file of version 3 does not have
		if err := doc.Decode(plain, &b); err != nil {
			return content{}, err
		}
	default:
		return content{}, fmt.Errorf("%w: version %d", ErrVersion, v)
	}
	b.State.fill()
	return b, nil
}

func encodeBody(b content) ([]byte, error) {
	out, err := doc.Encode(b)
	if err != nil {
		return nil, fmt.Errorf("encode the vault's state: %w", err)
	}
	return out, nil
}

// kept is where the last file of an older version stays.
func kept(path string, version uint16) string { return fmt.Sprintf("%s.v%d.bak", path, version) }

package vault

import (
	"fmt"

	"cipherdeck/crypto/doc"
)

// content is what a vault file of this version seals.
type content struct {
	State   State     `cbor:"1,keyasint"`
	Pending []pending `cbor:"2,keyasint"` // a rotation of the vault key that is not finished
}

// stateV1 is the whole body of version 1: there were no secrets and no rotation.
type stateV1 struct {
	Account  Account            `cbor:"1,keyasint"`
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
		b.State = State{Account: old.Account, People: old.People, Servers: old.Servers, Projects: old.Projects}
	case version:
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

package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"cipherdeck/crypto/doc"
)

const metaNonce = 12

// fileKeys are the three keys that a file key gives, each for one use.
type fileKeys struct {
	header, meta []byte
	payload      [keySize]byte
}

func (k FileKey) expand(f FileID) (fileKeys, error) {
	var out [3][]byte
	for i, label := range []string{"/header", "/meta", "/payload"} {
		key, err := hkdf.Expand(sha512.New, k[:], string(doc.LP([]byte(domain+label), f[:])), keySize)
		if err != nil {
			return fileKeys{}, err
		}
		out[i] = key
	}
	return fileKeys{header: out[0], meta: out[1], payload: [keySize]byte(out[2])}, nil
}

// mac covers everything in a header before its last 32 bytes.
func (k fileKeys) mac(raw []byte) []byte {
	m := hmac.New(sha256.New, k.header)
	m.Write(raw[:len(raw)-macSize])
	return m.Sum(nil)
}

func (k fileKeys) checkMAC(raw []byte) error {
	if !hmac.Equal(k.mac(raw), raw[len(raw)-macSize:]) {
		return fmt.Errorf("%w: in its header", ErrAuth)
	}
	return nil
}

func (k fileKeys) sealMeta(m Meta) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	plain, err := doc.Encode(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMeta, err)
	}
	a, err := newGCM(k.meta)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, metaNonce)
	rand.Read(nonce)
	return a.Seal(nonce, nonce, plain, nil), nil
}

// openMeta reads the facts of a header whose MAC has been checked.
func (k fileKeys) openMeta(stored []byte) (Meta, error) {
	a, err := newGCM(k.meta)
	if err != nil {
		return Meta{}, err
	}
	plain, err := a.Open(nil, stored[:metaNonce], stored[metaNonce:], nil)
	if err != nil {
		return Meta{}, fmt.Errorf("%w: in the facts about the file", ErrAuth)
	}
	var m Meta
	if err := doc.Decode(plain, &m); err != nil {
		return Meta{}, fmt.Errorf("%w: facts about the file: %v", ErrHeader, err)
	}
	if err := m.check(); err != nil {
		return Meta{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	return m, nil
}

// payloadContext binds a payload to its container and its facts, but not to
// its recipients: those may change without the payload being touched.
func (h *header) payloadContext() []byte {
	v := binary.BigEndian.AppendUint16(nil, version)
	v = binary.BigEndian.AppendUint16(v, h.flags)
	sum := sha256.Sum256(h.meta)
	return doc.LP([]byte(domain+"/context"), v, h.file[:], sum[:])
}

package project

import (
	"crypto/hkdf"
	"crypto/sha512"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/account"
)

// LocalKey is the key for what one device keeps of a project beside the vault:
// use says what it is. It follows from the device's own secret, which lies in
// the vault, so it needs no place of its own and survives a rotation of the
// vault's key.
func LocalKey(me *account.Me, pid id.ID, use string) ([32]byte, error) {
	k, err := hkdf.Key(sha512.New, me.Device.Seed(), pid[:], string(doc.LP([]byte("cipherdeck/local/v1"), []byte(use))), 32)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(k), nil
}

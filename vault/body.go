package vault

import "cipherdeck/crypto/cobblestone"

// sealBody and openBody are Cobblestone-256 under a key derived from the vault
// key, bound to a context.
func sealBody(key, context, plain []byte) ([]byte, error) {
	k, err := bodyKey(key)
	defer clear(k[:])
	if err != nil {
		return nil, err
	}
	return cobblestone.Seal(k, context, plain)
}

func openBody(key, context, sealed []byte) ([]byte, error) {
	k, err := bodyKey(key)
	defer clear(k[:])
	if err != nil {
		return nil, err
	}
	return cobblestone.Open(k, context, sealed)
}

func bodyKey(key []byte) (k [cobblestone.KeySize]byte, err error) {
	b, err := derive(key, labelBody)
	copy(k[:], b)
	clear(b)
	return k, err
}

package seal

import "cipherdeck/crypto/keys"

// wrapDomain is apart from the container's, so that a stanza is never a wrapped
// key nor the other way round.
const wrapDomain = "cipherdeck/wrap/v1"

// WrapKey encrypts a 32-byte key to pub by RSA-OAEP and X-Wing together, bound
// to context: bytes that say what the key is for, the same at UnwrapKey. The
// result is the body of a hybrid stanza, 1200 bytes and one RSA modulus
// (1584 with RSA-3072). Errors wrap keys.ErrRSA or keys.ErrXWing.
func WrapKey(pub keys.Public, key [32]byte, context []byte) ([]byte, error) {
	return hybrid{wrapDomain, context}.seal(pub, key, false)
}

// UnwrapKey opens what WrapKey made for pair under the same context. Errors
// wrap ErrNotRecipient when it was made for another identity, ErrAuth when it
// was changed or the context differs, ErrHeader when it is too short to be one.
func UnwrapKey(pair keys.Pair, wrapped, context []byte) ([32]byte, error) {
	return hybrid{wrapDomain, context}.open(pair, wrapped)
}

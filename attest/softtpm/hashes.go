package softtpm

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"cipherdeck/attest/wire"
)

// hashFunc makes a hash by its TPM algorithm; nil for one that is not built.
func hashFunc(alg uint16) func() hash.Hash {
	switch alg {
	case wire.AlgSHA256:
		return sha256.New
	case wire.AlgSHA384:
		return sha512.New384
	}
	return nil
}

func hashSize(alg uint16) int {
	switch alg {
	case wire.AlgSHA256:
		return sha256.Size
	case wire.AlgSHA384:
		return sha512.Size384
	}
	return 0
}

func cryptoHash(alg uint16) crypto.Hash {
	if alg == wire.AlgSHA384 {
		return crypto.SHA384
	}
	return crypto.SHA256
}

// sumOf hashes the parts, one after the other.
func sumOf(alg uint16, parts ...[]byte) []byte {
	h := hashFunc(alg)()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func macOf(alg uint16, key []byte, parts ...[]byte) []byte {
	m := hmac.New(hashFunc(alg), key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// nameOf is a hash of b behind its algorithm (Part 1, section 16).
func nameOf(alg uint16, b []byte) []byte {
	return append(wire.U16s(nil, alg), sumOf(alg, b)...)
}

// kdfa is the TPM's key derivation, SP 800-108 in counter mode with HMAC
// (Part 1, section 11.4.10.2), of bits that are a multiple of eight.
func kdfa(alg uint16, key []byte, label string, u, v []byte, bits int) []byte {
	var out []byte
	for i := uint32(1); len(out)*8 < bits; i++ {
		out = append(out, macOf(alg, key, wire.U32s(nil, i), []byte(label), []byte{0}, u, v, wire.U32s(nil, uint32(bits)))...)
	}
	return out[:bits/8]
}

// kdfe derives from an ECDH secret (Part 1, section 11.4.10.3).
func kdfe(alg uint16, z []byte, label string, u, v []byte, bits int) []byte {
	var out []byte
	for i := uint32(1); len(out)*8 < bits; i++ {
		out = append(out, sumOf(alg, wire.U32s(nil, i), z, []byte(label), []byte{0}, u, v)...)
	}
	return out[:bits/8]
}

// Package keys makes and checks the key pairs of an account.
//
// One random 32-byte Seed is the root. Every pair is derived from it under its
// own HKDF-SHA-512 label, so that backing up 32 bytes backs up everything and
// no derived key says anything about another:
//
//	cipherdeck/v1/rsa/<bits>   RSA, by c2sp.org/det-keygen
//	cipherdeck/v1/xwing        X-Wing (ML-KEM-768 + X25519), for decryption
//	cipherdeck/v1/ed25519      Ed25519, for signatures
//
// A Pair is the private decryption identity (RSA and X-Wing together), a
// Public what others need to encrypt to it. Everything that comes from outside
// passes Check before it is used: a 16384-bit RSA key, or one with exponent 1,
// is refused here and nowhere else.
//
// A passphrase becomes a key through Argon2id, whose cost parameters are read
// from files that others wrote and are therefore limited as well.
//
// A typed secret becomes a Seed in package secret; keys of Coretex are imported
// in package coretex. docs/formats/keys.md has all derivations.
package keys

// Package coretex reads what Coretex (coretex.ai) encrypted, so that its users
// can take their keys, secrets and files along: coretex-v1 in the program.
//
// Coretex derives an RSA key from a typed secret alone: a stream of SHA-256
// digests, each of the one before, is the "randomness" of PyCryptodome's
// RSA.generate. There is no salt and nothing slow in it. Two people with one
// secret have one key pair, and from the public key an attacker tries hundreds
// of secrets a second on each processor, once for all users. So this package
// makes no new keys: use the key to open what there is, seal it again for an
// account of your own, and consider the secret known.
//
// Secrets (passwords, project keys) are RSA PKCS#1 v1.5, one field each, in
// base64. Files are AES-256-CBC without any authentication; Reader says what
// that cannot detect, and Warning says it to the user.
//
// The derivation is held to keys that PyCryptodome itself made. Not known, and
// therefore not here: what Coretex's web application does, and the signature
// that its servers keep as a check value; compare public keys instead.
package coretex

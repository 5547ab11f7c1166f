// Package secret turns a typed secret into an account seed, so that a person
// who has nothing but a name and a secret gets the same keys on any machine.
//
//	account = NFC, lower case, without spaces around it
//	salt    = SHA-256(LP("cipherdeck/v1/master-salt", account))
//	ikm     = Argon2id(NFC(secret), salt, t = 3, m = 256 MiB, p = 4, 32 bytes)
//	seed    = HKDF-Expand-SHA-512(ikm, "cipherdeck/v1/account-seed", 32)
//
// The costs are part of version 1 and in no file: who can lower them for a
// victim (a server that says "use m = 8") has an offline oracle, the public key.
//
// That oracle is why the secret must be strong. Whoever knows the public key
// and the name can guess for ever, at about 3 guesses a second for each
// processor of today. Derive refuses what Estimate takes for less than 65 bits,
// and Suggest offers 8 words (103 bits). A random seed in a vault with a
// recovery kit has no such oracle and is the better choice where it is possible.
//
// A mistyped secret gives other keys, not an error. Check is the answer: the
// public keys of the first use, signed by them; Match says ErrOther instead of
// letting a second identity come into being.
package secret

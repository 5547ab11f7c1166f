// Package agefile reads and writes files of the age format
// (age-encryption.org/v1, C2SP age.md), through filippo.io/age.
//
// It is for people who have age and not cipherdeck. What is lost on the way
// out: AES-256 and the hybrid of RSA and X-Wing (age has a 128-bit file key,
// ChaCha20-Poly1305, and one kind of key for each recipient), random access to
// a directory, which becomes a tar, and the facts about the file.
//
// Keys are age's own (X25519 and, since age 1.3, ML-KEM-768 with X25519) and
// OpenSSH's (ssh-ed25519, ssh-rsa); a passphrase as age does it, with scrypt.
// Not built: keys held by age plugins.
package agefile

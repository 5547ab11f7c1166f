// Package sshsig verifies the signatures that `ssh-keygen -Y sign` makes
// (OpenSSH's PROTOCOL.sshsig, version 1). It makes none.
//
// A signature names the public key that made it, a namespace that says what the
// signature is for, and a hash. Which key is expected is the caller's knowledge:
// the one in the signature alone proves nothing.
package sshsig

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// ErrSignature is wrapped when a signature is malformed, of another key,
// namespace or message, or of a kind that is not taken.
var ErrSignature = errors.New("SSH signature does not verify")

const (
	magic   = "SSHSIG"
	block   = "SSH SIGNATURE"
	maxSize = 64 << 10
)

// blob is the signature inside the armour, after the magic.
type blob struct {
	Version   uint32
	Key       string
	Namespace string
	Reserved  string
	Hash      string
	Signature string
}

// signed is what the key signed, after the magic.
type signed struct {
	Namespace string
	Reserved  string
	Hash      string
	Digest    string
}

// Verify checks an armoured signature of message by key for a namespace. Keys may
// be Ed25519, ECDSA, RSA of 2048 bits or more, or those of security keys. Errors
// wrap ErrSignature.
func Verify(armoured, message []byte, namespace string, key ssh.PublicKey) error {
	if err := verify(armoured, message, namespace, key); err != nil {
		return fmt.Errorf("%w: %v", ErrSignature, err)
	}
	return nil
}

func verify(armoured, message []byte, namespace string, key ssh.PublicKey) error {
	if len(armoured) > maxSize {
		return fmt.Errorf("%d bytes, limit %d", len(armoured), maxSize)
	}
	p, rest := pem.Decode(armoured)
	if p == nil || p.Type != block || len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("want one block %q", block)
	}
	raw, ok := bytes.CutPrefix(p.Bytes, []byte(magic))
	var b blob
	if !ok {
		return fmt.Errorf("it does not begin with %s", magic)
	}
	if err := ssh.Unmarshal(raw, &b); err != nil {
		return err
	}
	switch {
	case b.Version != 1:
		return fmt.Errorf("version %d, want 1", b.Version)
	case namespace == "" || b.Namespace != namespace:
		return fmt.Errorf("it is for %q, want %q (ssh-keygen -n)", b.Namespace, namespace)
	case b.Key != string(key.Marshal()):
		return fmt.Errorf("another key made it")
	}
	digest, err := hash(b.Hash, message)
	if err != nil {
		return err
	}
	var sig ssh.Signature
	if err := ssh.Unmarshal([]byte(b.Signature), &sig); err != nil {
		return err
	}
	if sig.Format == ssh.KeyAlgoRSA {
		return fmt.Errorf("RSA with SHA-1 is not taken")
	}
	what := ssh.Marshal(signed{b.Namespace, b.Reserved, b.Hash, string(digest)})
	return key.Verify(append([]byte(magic), what...), &sig)
}

func hash(name string, message []byte) ([]byte, error) {
	switch name {
	case "sha256":
		h := sha256.Sum256(message)
		return h[:], nil
	case "sha512":
		h := sha512.Sum512(message)
		return h[:], nil
	}
	return nil, fmt.Errorf("hash %q: want sha256 or sha512", name)
}

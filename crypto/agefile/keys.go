package agefile

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// The errors that this package wraps; tell them apart with errors.Is.
var (
	ErrKey        = errors.New("age key cannot be used")
	ErrIdentity   = errors.New("age file is not addressed to this key")
	ErrFile       = errors.New("age file is malformed or damaged")
	ErrPassphrase = errors.New("the private key is protected by a passphrase")
)

// Recipient and Identity are age's.
type (
	Recipient = age.Recipient
	Identity  = age.Identity
)

// maxKeys bounds what a list of keys may hold, in bytes.
const maxKeys = 1 << 20

// ParseRecipient reads "age1…", "age1pq1…", "ssh-ed25519 …" or "ssh-rsa …".
// Errors wrap ErrKey.
func ParseRecipient(s string) (Recipient, error) {
	s = strings.TrimSpace(s)
	var r Recipient
	var err error
	switch {
	case strings.HasPrefix(s, "age1pq1"):
		r, err = age.ParseHybridRecipient(s)
	case strings.HasPrefix(s, "age1"):
		r, err = age.ParseX25519Recipient(s)
	case strings.HasPrefix(s, "ssh-"):
		r, err = agessh.ParseRecipient(s)
	case strings.HasPrefix(s, "AGE-SECRET-KEY-"):
		err = errors.New("it is a private key; never give it away") // and is not repeated here
	default:
		err = errors.New("it does not begin with age1 or ssh-")
	}
	if err != nil {
		return nil, fmt.Errorf("%w as recipient: %v", ErrKey, err)
	}
	return r, nil
}

// ReadRecipients reads a list, one a line; empty lines and lines that begin
// with # are passed over. Errors wrap ErrKey and name the line.
func ReadRecipients(src io.Reader) ([]Recipient, error) {
	var out []Recipient
	lines := bufio.NewScanner(io.LimitReader(src, maxKeys))
	lines.Buffer(nil, 1<<16)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := ParseRecipient(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, r)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: the list holds no recipient", ErrKey)
	}
	return out, nil
}

// ReadIdentities reads a file of age's private keys, or one OpenSSH private
// key. passphrase is for the latter and may be nil. Errors wrap ErrPassphrase
// when it is needed, ErrKey otherwise; none repeats what was read.
func ReadIdentities(src io.Reader, passphrase []byte) ([]Identity, error) {
	b, err := io.ReadAll(io.LimitReader(src, maxKeys))
	if err != nil {
		return nil, err
	}
	defer clear(b)
	if !bytes.Contains(b, []byte("-----BEGIN")) {
		ids, err := age.ParseIdentities(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%w as identity: no line of it may be anything but AGE-SECRET-KEY-…, a comment or empty", ErrKey)
		}
		return ids, nil
	}
	id, err := sshIdentity(b, passphrase)
	if err != nil {
		return nil, err
	}
	return []Identity{id}, nil
}

func sshIdentity(pem, passphrase []byte) (Identity, error) {
	id, err := agessh.ParseIdentity(pem)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return id, nil
	case !errors.As(err, &locked):
		return nil, fmt.Errorf("%w as identity: %v", ErrKey, err)
	case passphrase == nil:
		return nil, ErrPassphrase
	}
	key, err := ssh.ParseRawPrivateKeyWithPassphrase(pem, passphrase)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("%w, and not by this one", ErrPassphrase)
	}
	if err == nil {
		switch k := key.(type) {
		case *ed25519.PrivateKey:
			id, err = agessh.NewEd25519Identity(*k)
		case *rsa.PrivateKey:
			id, err = agessh.NewRSAIdentity(k)
		default:
			err = fmt.Errorf("a key of type %T", key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w as identity: %v", ErrKey, err)
	}
	return id, nil
}

// PassphraseRecipient and PassphraseIdentity are age's scrypt, with age's own
// work factor. A passphrase is the only recipient of its file.
func PassphraseRecipient(secret string) (Recipient, error) {
	r, err := age.NewScryptRecipient(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	return r, nil
}

// PassphraseIdentity opens what PassphraseRecipient sealed. Files that ask for
// more than 2^20 of scrypt, 1 GiB, are refused.
func PassphraseIdentity(secret string) (Identity, error) {
	i, err := age.NewScryptIdentity(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	i.SetMaxWorkFactor(20)
	return i, nil
}

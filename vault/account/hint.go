package account

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"cipherdeck/crypto/agefile"
)

// ErrHint is wrapped when a file names no key that could be a hint.
var ErrHint = errors.New("no SSH or age key to take a hint from")

// Bounds of hints.
const (
	MaxHints    = 16
	MaxHintFile = 64 << 10
	maxComment  = 64
)

// Hints reads a file of OpenSSH public keys (authorized_keys, allowed_signers, a
// .pub file) or age recipients and names each key: its type, its fingerprint and
// the comment beside it. A hint helps a person to recognise another one; nobody
// has shown that the two belong together. Errors wrap ErrHint and name the line.
func Hints(file []byte) ([]string, error) {
	var out []string
	lines := bufio.NewScanner(bytes.NewReader(file))
	lines.Buffer(nil, MaxHintFile)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		h, err := hint(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %v", ErrHint, n, err)
		}
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrHint, err)
	}
	if len(out) == 0 || len(out) > MaxHints {
		return nil, fmt.Errorf("%w: %d keys, want 1 to %d", ErrHint, len(out), MaxHints)
	}
	return out, nil
}

func hint(line string) (string, error) {
	if strings.Contains(line, "PRIVATE KEY") || strings.HasPrefix(line, "AGE-SECRET-KEY-") {
		return "", errors.New("it is a private key; never give it away") // and is not repeated here
	}
	if strings.HasPrefix(line, "age1") {
		key, comment, _ := strings.Cut(line, " ")
		if _, err := agefile.ParseRecipient(key); err != nil {
			return "", err
		}
		sum := sha256.Sum256([]byte(key))
		return named("age", "SHA256:"+hex.EncodeToString(sum[:]), comment), nil
	}
	k, comment, err := sshLine(line)
	if err != nil {
		return "", err
	}
	return named(k.Type(), ssh.FingerprintSHA256(k), comment), nil
}

// sshLine reads a line of authorized_keys or of allowed_signers, which has names
// before the options.
func sshLine(line string) (ssh.PublicKey, string, error) {
	k, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		_, rest, _ := strings.Cut(line, " ")
		k, comment, _, _, err = ssh.ParseAuthorizedKey([]byte(rest))
	}
	return k, comment, err
}

func named(parts ...string) string {
	last := len(parts) - 1
	if c := []rune(parts[last]); len(c) > maxComment {
		parts[last] = string(c[:maxComment]) + "…"
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// SignedHint is the hint of an SSH key that signed the user id.
func SignedHint(k ssh.PublicKey, comment string) string {
	return "signed by SSH key " + named(ssh.FingerprintSHA256(k), k.Type(), comment)
}

// AddHints puts more beside have, each once, the newest last. Errors wrap
// ErrHint when there would be too many.
func AddHints(have []string, more ...string) ([]string, error) {
	out := slices.Clone(have)
	for _, h := range more {
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	if len(out) > MaxHints {
		return have, fmt.Errorf("%w: %d hints for one person, limit %d", ErrHint, len(out), MaxHints)
	}
	return out, nil
}

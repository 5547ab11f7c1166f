// Package tlog checks what a transparency log says; it writes none.
//
// A log is a list of leaves under a Merkle tree (RFC 6962). The log signs its
// size and root, a checkpoint; witnesses that saw each checkpoint continue the
// one before add cosignatures. Whoever holds a checkpoint can be shown that a
// leaf is under it (inclusion) and that an older checkpoint is a beginning of it
// (consistency), and need not believe the log in either.
//
// The text forms are those of C2SP: signed-note, tlog-checkpoint,
// tlog-cosignature (Ed25519), tlog-proof. What the leaves of cipherdeck's own
// journal hold is in leaf.go, and docs/formats/journal.md has the bytes.
package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"cipherdeck/crypto/id"
)

// The errors of this package.
var (
	ErrCheckpoint = errors.New("checkpoint is not valid")
	ErrProof      = errors.New("proof does not hold")
	ErrKey        = errors.New("not a key of a log or witness")
	ErrLeaf       = errors.New("journal leaf is not valid")
	ErrPromise    = errors.New("promise of the journal is not valid")
)

// MaxCheckpoint bounds a signed checkpoint in bytes.
const MaxCheckpoint = 32 << 10

// Checkpoint is a verified state of a log.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   id.ID
	Raw    []byte // the whole signed note
}

// Text is what is signed: the lines of the checkpoint without its signatures.
func (c Checkpoint) Text() string {
	text, _, _ := strings.Cut(string(c.Raw), "\n\n")
	return text + "\n"
}

// OpenCheckpoint verifies raw, a note that log signed, for log's own origin.
// Signatures of others are left alone: see Policy.
func OpenCheckpoint(raw []byte, log Key) (Checkpoint, error) {
	n, err := openNote(raw, log)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseBody(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != log.Name {
		return Checkpoint{}, fmt.Errorf("%w: it is of %q, not of %q", ErrCheckpoint, c.Origin, log.Name)
	}
	c.Raw = raw
	return c, nil
}

// OriginOf reads whose checkpoint raw claims to be, without verifying anything.
func OriginOf(raw []byte) (string, error) {
	if len(raw) > MaxCheckpoint {
		return "", fmt.Errorf("%w: %d bytes, limit %d", ErrCheckpoint, len(raw), MaxCheckpoint)
	}
	c, err := parseBody(string(raw))
	return c.Origin, err
}

func openNote(raw []byte, keys ...Key) (*note.Note, error) {
	if len(raw) > MaxCheckpoint {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrCheckpoint, len(raw), MaxCheckpoint)
	}
	known := make([]note.Verifier, len(keys))
	for i, k := range keys {
		known[i] = verifier{k}
	}
	n, err := note.Open(raw, note.VerifierList(known...))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return n, nil
}

// parseBody reads origin, size and root. Extension lines may follow.
func parseBody(text string) (c Checkpoint, err error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return c, fmt.Errorf("%w: want lines of origin, size and root", ErrCheckpoint)
	}
	c.Origin = lines[0]
	if c.Size, err = ParseSize(lines[1]); err != nil {
		return c, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if c.Root, err = parseHash(lines[2]); err != nil {
		return c, fmt.Errorf("%w: root: %w", ErrCheckpoint, err)
	}
	return c, nil
}

// ParseSize reads the size of a tree: decimal, without leading zeros, at most
// 2^63-1.
func ParseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt64 || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not the size of a tree", clip(s))
	}
	return n, nil
}

func parseHash(s string) (id.ID, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || base64.StdEncoding.EncodeToString(b) != s {
		return id.ID{}, fmt.Errorf("%q is not base64", clip(s))
	}
	return id.FromBytes(b)
}

func clip(s string) string { return s[:min(len(s), 80)] }

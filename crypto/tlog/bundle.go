package tlog

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"cipherdeck/crypto/id"
)

const bundleHead = "c2sp.org/tlog-proof@v1"

// maxBundle bounds a proof file in bytes.
const maxBundle = 256 << 10

// Bundle is a proof to keep: that a leaf is number Index of a log, with the
// checkpoint that it is under. It is checked without asking anybody.
type Bundle struct {
	Extra      []byte // of nobody's word: here the leaf itself
	Index      uint64
	Path       []id.ID
	Checkpoint []byte
}

// Format writes the bundle as C2SP tlog-proof.
func (b Bundle) Format() []byte {
	out := []byte(bundleHead + "\n")
	if len(b.Extra) > 0 {
		out = fmt.Appendf(out, "extra %s\n", base64.StdEncoding.EncodeToString(b.Extra))
	}
	out = fmt.Appendf(out, "index %d\n", b.Index)
	for _, h := range b.Path {
		out = fmt.Appendf(out, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	return append(append(out, '\n'), b.Checkpoint...)
}

// ParseBundle reads what Format writes; nothing is verified. Errors wrap
// ErrProof.
func ParseBundle(raw []byte) (b Bundle, err error) {
	if len(raw) > maxBundle {
		return b, fmt.Errorf("%w: %d bytes, limit %d", ErrProof, len(raw), maxBundle)
	}
	head, checkpoint, ok := strings.Cut(string(raw), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 2 || lines[0] != bundleHead {
		return b, fmt.Errorf("%w: not a %s file", ErrProof, bundleHead)
	}
	lines = lines[1:]
	if text, ok := strings.CutPrefix(lines[0], "extra "); ok {
		if b.Extra, err = base64.StdEncoding.Strict().DecodeString(text); err != nil || len(lines) < 2 {
			return Bundle{}, fmt.Errorf("%w: the line of extra data is not base64", ErrProof)
		}
		lines = lines[1:]
	}
	text, ok := strings.CutPrefix(lines[0], "index ")
	if b.Index, err = ParseSize(text); !ok || err != nil {
		return Bundle{}, fmt.Errorf("%w: want a line of the index", ErrProof)
	}
	if len(lines)-1 > maxPath {
		return Bundle{}, fmt.Errorf("%w: %d hashes, limit %d", ErrProof, len(lines)-1, maxPath)
	}
	for _, l := range lines[1:] {
		h, err := parseHash(l)
		if err != nil {
			return Bundle{}, fmt.Errorf("%w: %w", ErrProof, err)
		}
		b.Path = append(b.Path, h)
	}
	b.Checkpoint = []byte(checkpoint)
	return b, nil
}

// Verify checks that the leaf with this hash is where the bundle says, under a
// checkpoint of p's log. Whether it is witnessed enough is in the verdict.
func (b Bundle) Verify(p Policy, leaf id.ID, now time.Time) (Verdict, error) {
	v, err := p.Open(b.Checkpoint, now)
	if err != nil {
		return v, err
	}
	return v, v.Included(b.Index, leaf, b.Path)
}

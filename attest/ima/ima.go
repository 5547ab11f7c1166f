// Package ima reads the list of files that a Linux kernel measured (Integrity
// Measurement Architecture, security/integrity/ima in the kernel's source).
//
// An entry says which file was opened and what its content hashed to; a hash of
// the entry is extended into PCR 10. The list is telemetry here, and a gate
// nowhere: files are opened in no fixed order. It says what ran beside the
// server, and only as far as the kernel that wrote it is the right one.
package ima

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/wire"
)

// PCR is the register of the list.
const PCR = 10

// Bounds of a list.
const (
	MaxBytes   = 1 << 20
	maxEntries = 1 << 15
	maxField   = 8 << 10
)

// ErrSyntax is wrapped when a list is not well formed.
var ErrSyntax = errors.New("IMA measurement list is not well formed")

// Explain replays the binary measurement list and returns its events and the
// value that PCR 10 ends at, in bank. The kernel extends every bank other than
// SHA-1 with that bank's hash of the entry's data. A violation, whose SHA-1 is
// zero, is extended as ones. Errors wrap ErrSyntax.
func Explain(list []byte, bank attest.Bank) (events []attest.PCREvent, value []byte, err error) {
	value = make([]byte, bank.Size())
	if len(list) > MaxBytes {
		return nil, nil, fmt.Errorf("%w: %d bytes, limit %d", ErrSyntax, len(list), MaxBytes)
	}
	r := &wire.Little{Left: list}
	for len(r.Left) > 0 {
		head := r.Take(4 + 20)
		name := r.Sized(64)
		data := r.Sized(maxField)
		switch {
		case r.Bad:
			return nil, nil, fmt.Errorf("%w: entry %d ends too early or is too long", ErrSyntax, len(events))
		case binary.LittleEndian.Uint32(head) != PCR:
			return nil, nil, fmt.Errorf("%w: entry %d is of PCR %d", ErrSyntax, len(events), binary.LittleEndian.Uint32(head))
		case len(events) >= maxEntries:
			return nil, nil, fmt.Errorf("%w: more than %d entries", ErrSyntax, maxEntries)
		}
		e, ext, err := entry(string(name), head[4:], data, bank)
		if err != nil {
			return nil, nil, fmt.Errorf("entry %d: %w", len(events), err)
		}
		events = append(events, e)
		value = extend(bank, value, ext)
	}
	return events, value, nil
}

func sum(bank attest.Bank, parts ...[]byte) []byte {
	h := sha256.New()
	if bank == attest.SHA384 {
		h = sha512.New384()
	}
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func extend(bank attest.Bank, old, with []byte) []byte { return sum(bank, old, with) }

// entry reads one entry, and what the register is extended with for it.
func entry(template string, digest, data []byte, bank attest.Bank) (attest.PCREvent, []byte, error) {
	e := attest.PCREvent{Type: "IMA " + bootlog.Clean(template), Covered: true}
	if bytes.Equal(digest, make([]byte, len(digest))) {
		e.Text, e.Digest = "violation: a file was changed while it was measured", bytes.Repeat([]byte{0xFF}, bank.Size())
		return e, e.Digest, nil
	}
	switch template {
	case "ima-ng", "ima-sig", "ima-buf", "ima-ngv2", "ima-sigv2", "ima-modsig":
	default:
		return e, nil, fmt.Errorf("%w: template %q is not known", ErrSyntax, bootlog.Clean(template))
	}
	if want := sha1.Sum(data); !bytes.Equal(want[:], digest) {
		return e, nil, fmt.Errorf("%w: its data is not what was measured", ErrSyntax)
	}
	r := &wire.Little{Left: data}
	file, path := r.Sized(maxField), r.Sized(maxField)
	if r.Bad {
		return e, nil, fmt.Errorf("%w: %s without digest and path", ErrSyntax, template)
	}
	algorithm, value, _ := bytes.Cut(file, []byte{0})
	e.Text = bootlog.Clean(fmt.Sprintf("%s %s%x", bytes.TrimRight(path, "\x00"), algorithm, clip(value)))
	e.Digest = sum(bank, data)
	return e, e.Digest, nil
}

// clip is enough of a file's digest to look it up.
func clip(b []byte) []byte { return b[:min(len(b), 8)] }

// Package eventlog is the log of what a server measured of itself.
//
// A log is one deterministic CBOR array of events, each [name, digest, text].
// While the log grows, PCR 14 of the TPM is extended with the SHA-256 of each
// event's own CBOR bytes. So the register covers everything: name, digest,
// text and order; change one bit and the replay ends at another value. (Logs
// that extend only the digest leave the event's type to the imagination.)
//
// The last event is "ready", written just before the server listens. Nothing
// may follow it.
//
// A log is a claim of the program that wrote it. It says what ran only if
// something measured that program before it started.
package eventlog

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/crypto/doc"
)

// PCR is the register of the application log: PC firmware and systemd leave
// 14 alone when neither shim nor GRUB boots the machine.
const PCR = 14

// Bounds of a log. A log at every bound is still under MaxBytes.
const (
	MaxEvents = 1024
	MaxBytes  = 512 << 10
	MaxName   = 64  // bytes of [a-z0-9._/-]
	MaxText   = 256 // bytes of UTF-8
)

// Ready is the name of the closing event.
const Ready = "ready"

// The errors of a log.
var (
	ErrSyntax    = errors.New("event log is not well formed")
	ErrOpen      = errors.New("event log is not closed by \"ready\"")
	ErrAfter     = errors.New("event log goes on after \"ready\"")
	ErrDuplicate = errors.New("event log has a name twice")
	ErrLimit     = errors.New("event log is larger than allowed")
)

// Event is one measurement. Text is for people and may hold anything: whoever
// shows it must escape it.
type Event struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Digest [32]byte // SHA-256 of what was measured
	Text   string
}

// ReadyDigest is the digest of the closing event.
func ReadyDigest() [32]byte { return sha256.Sum256([]byte("cipherdeck/attest/ready/v1")) }

// Extends is what PCR 14 is extended with for e: SHA-256 of its bytes.
func (e Event) Extends() ([32]byte, error) {
	b, err := doc.Encode(e)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: event %q: %v", ErrSyntax, e.Name, err)
	}
	return sha256.Sum256(b), nil
}

// check holds one event against the bounds.
func (e Event) check() error {
	if e.Name == "" || len(e.Name) > MaxName {
		return fmt.Errorf("%w: event name of %d bytes, want 1 to %d", ErrSyntax, len(e.Name), MaxName)
	}
	for _, c := range []byte(e.Name) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '/' || c == '-') {
			return fmt.Errorf("%w: event name %q, want a-z 0-9 . _ / -", ErrSyntax, e.Name)
		}
	}
	if len(e.Text) > MaxText {
		return fmt.Errorf("%w: event %q: text of %d bytes, limit %d", ErrLimit, e.Name, len(e.Text), MaxText)
	}
	return nil
}

// Parse reads the bytes that Builder.Close wrote, and nothing else.
func Parse(raw []byte) ([]Event, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrLimit, len(raw), MaxBytes)
	}
	var log []Event
	if err := doc.Decode(raw, &log); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSyntax, err)
	}
	if len(log) > MaxEvents {
		return nil, fmt.Errorf("%w: %d events, limit %d", ErrLimit, len(log), MaxEvents)
	}
	return log, checkOrder(log)
}

func checkOrder(log []Event) error {
	seen := map[string]bool{}
	for i, e := range log {
		if err := e.check(); err != nil {
			return err
		}
		if seen[Ready] {
			return fmt.Errorf("%w: event %d %q", ErrAfter, i, e.Name)
		}
		if seen[e.Name] {
			return fmt.Errorf("%w: %q", ErrDuplicate, e.Name)
		}
		seen[e.Name] = true
	}
	if !seen[Ready] {
		return ErrOpen
	}
	if log[len(log)-1].Digest != ReadyDigest() {
		return fmt.Errorf("%w: \"ready\" has another digest", ErrOpen)
	}
	return nil
}

// Replay is the value that PCR 14 of bank has after log, starting from zero. In
// the SHA-384 bank events are extended with their SHA-384.
func Replay(log []Event, bank attest.Bank) ([]byte, error) {
	h := sha256.New
	if bank == attest.SHA384 {
		h = sha512.New384
	}
	pcr := make([]byte, bank.Size())
	for _, e := range log {
		raw, err := doc.Encode(e)
		if err != nil {
			return nil, fmt.Errorf("%w: event %q: %v", ErrSyntax, e.Name, err)
		}
		d := h()
		d.Write(raw)
		ext := d.Sum(nil)
		d.Reset()
		d.Write(pcr)
		d.Write(ext)
		pcr = d.Sum(pcr[:0])
	}
	return pcr, nil
}

// Package self is how a machine measures what is about to run on it: into the
// application's register, PCR 14, with a log that says what each measurement is
// of. Servers and nodes do it the same way, before they listen or ask for work;
// afterwards the log is closed.
package self

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest/eventlog"
)

// The events that servers and nodes have in common.
const (
	Binary   = "binary"
	Manifest = "manifest"
)

// Event is one measurement: the SHA-256 of what it is of, and a word about it.
type Event struct {
	Name   string
	Digest [32]byte
	Text   string
}

// Of is the measurement of the running program.
func Of() (Event, error) {
	sum, err := Program()
	return Event{Binary, sum, "the running program"}, err
}

// Signed is the measurement of a signed manifest, which may be absent.
func Signed(manifest []byte) Event {
	return Event{Manifest, sha256.Sum256(manifest), "the signed manifest; of no bytes when there is none"}
}

// Measure extends PCR 14 with the events in their order, then closes the log
// and returns it.
func Measure(tpm transport.TPM, events ...Event) ([]byte, error) {
	b, err := eventlog.NewBuilder(tpm)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if err := b.Add(e.Name, e.Digest, e.Text); err != nil {
			return nil, fmt.Errorf("measure %s: %w", e.Name, err)
		}
	}
	return b.Close()
}

// Program is the SHA-256 of the program that runs. The link in /proc leads to
// the very file that was started, also when its path has a new one by now.
func Program() (sum [32]byte, err error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		path, err := os.Executable()
		if err != nil {
			return sum, fmt.Errorf("measure the program: %w", err)
		}
		if f, err = os.Open(path); err != nil {
			return sum, fmt.Errorf("measure the program: %w", err)
		}
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, fmt.Errorf("measure the program: %w", err)
	}
	return [32]byte(h.Sum(nil)), nil
}

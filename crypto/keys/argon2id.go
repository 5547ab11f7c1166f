package keys

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Limits on parameters read from a file. Below them a passphrase is guessed
// too cheaply (OWASP floor); above them a hostile file stops the machine.
const (
	minMKiB = 19 << 10 // 19 MiB
	maxMKiB = 4 << 20  // 4 GiB
	maxT    = 32
	maxP    = 16
)

// ErrKDF is wrapped when Argon2id parameters are outside the limits.
var ErrKDF = errors.New("Argon2id parameters are refused")

// ErrEmptyPassphrase is returned for a passphrase of no bytes.
var ErrEmptyPassphrase = errors.New("passphrase is empty")

// Argon2id is the cost of turning a passphrase into a key (RFC 9106).
type Argon2id struct {
	T    uint32 // passes
	MKiB uint32 // memory in KiB
	P    uint8  // lanes
}

// DefaultArgon2id is the second recommendation of RFC 9106 section 4:
// 3 passes over 64 MiB in 4 lanes.
func DefaultArgon2id() Argon2id { return Argon2id{T: 3, MKiB: 64 << 10, P: 4} }

// Check refuses parameters outside the limits, and more memory than half of
// what this machine has. Errors wrap ErrKDF and give the numbers.
func (a Argon2id) Check() error { return a.check(memoryKiB()) }

// check takes the memory of the machine in KiB, 0 if it is not known.
func (a Argon2id) check(ram uint64) error {
	switch {
	case a.T < 1 || a.T > maxT:
		return fmt.Errorf("%w: %d passes, want 1 to %d", ErrKDF, a.T, maxT)
	case a.P < 1 || a.P > maxP:
		return fmt.Errorf("%w: %d lanes, want 1 to %d", ErrKDF, a.P, maxP)
	case a.MKiB < minMKiB || a.MKiB > maxMKiB || a.MKiB < 8*uint32(a.P):
		return fmt.Errorf("%w: %d KiB of memory, want %d to %d", ErrKDF, a.MKiB, minMKiB, maxMKiB)
	case ram != 0 && uint64(a.MKiB) > ram/2:
		return fmt.Errorf("%w: %d KiB of memory is more than half of the %d KiB of this machine", ErrKDF, a.MKiB, ram)
	}
	return nil
}

// Derive turns a passphrase into 32 bytes after Check. The passphrase is
// normalised to Unicode NFC, so that the same characters typed on two systems
// are the same passphrase; no other character is changed.
func (a Argon2id) Derive(passphrase []byte, salt [16]byte) ([32]byte, error) {
	if err := a.Check(); err != nil {
		return [32]byte{}, err
	}
	if len(passphrase) == 0 {
		return [32]byte{}, ErrEmptyPassphrase
	}
	nfc := norm.NFC.Append(nil, passphrase...)
	defer clear(nfc)
	k := argon2.IDKey(nfc, salt[:], a.T, a.MKiB, a.P, 32)
	defer clear(k)
	return [32]byte(k), nil
}

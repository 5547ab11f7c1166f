// Package ek says who made a TPM, from its endorsement key certificate.
package ek

import (
	"errors"
	"time"

	"cipherdeck/attest"
)

// ErrChain is wrapped when a certificate chain ends in no accepted root.
var ErrChain = errors.New("EK certificate is of no accepted TPM maker")

// Made is what a verified chain says of a TPM.
type Made struct {
	Kind     attest.RootKind // from the root it ended in; a software TPM's mark overrules it
	Maker    string          // name of that root
	Key      []byte          // SubjectPublicKeyInfo of the EK
	Serials  []string        // of the certificates, in hex, the EK's first
	NotAfter time.Time       // when the first certificate of the chain ends
}

// Verify checks chain, DER with the EK's certificate first, against the shipped
// roots and added ones at the time now. Errors wrap ErrChain.
func Verify(chain [][]byte, added []attest.Root, now time.Time) (Made, error) {
	return Made{}, ErrChain
}

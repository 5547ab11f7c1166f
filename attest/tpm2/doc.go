// Package tpm2 makes and checks TPM 2.0 quotes.
//
// A quote is a TPM's signed statement "these registers have this digest, and I
// was given these 32 bytes". NewAK and Quote make one through any
// transport.TPM: a chip, swtpm, or our softtpm. Verifier turns one into a
// verdict, link by link.
//
// Nothing that arrives from outside is read by reflection: TPMS_ATTEST,
// TPMT_SIGNATURE and TPMT_PUBLIC have strict parsers here that accept exactly
// one encoding, because lenient ones have let forged quotes through elsewhere
// (magic never compared: CVE-2024-29038; PCRs supplied but not quoted:
// CVE-2022-0317, CVE-2024-29039).
//
// Accepted: AKs on P-256 or P-384 or RSA of 2048 bits and more, that sign with
// SHA-256 or SHA-384 and are primary keys of the endorsement hierarchy; the
// SHA-256 and SHA-384 banks. Who made the TPM is package ek's question. Without
// a certificate nothing outside the machine vouches for it, and the verdict is
// attest.RootSoftware at most, whatever the machine says of itself.
package tpm2

import "errors"

// Type is the type of evidence this package makes and checks.
const Type = "tpm2"

// Version is the version of the evidence.
const Version = 2

// The errors of this package.
var (
	ErrSyntax    = errors.New("TPM structure is not well formed")
	ErrMagic     = errors.New("quote was not made inside a TPM")
	ErrKind      = errors.New("attestation is not a quote")
	ErrBinding   = errors.New("quote was made for something else")
	ErrSelection = errors.New("quote is over other PCRs")
	ErrAlgorithm = errors.New("algorithm is not the one accepted")
	ErrAK        = errors.New("key is not a restricted signing key of a TPM")
	ErrEK        = errors.New("key is not an endorsement key")
	ErrJobKey    = errors.New("job key is not one of this TPM in this state")
	ErrSignature = errors.New("statement is not signed by the AK")
	ErrAsk       = errors.New("verifier was asked for something impossible")
	ErrUnstable  = errors.New("PCRs kept changing while they were quoted")
)

// Package dcap is what Intel's quotes have in common, of SGX (version 3) and of
// TDX (version 4): Intel SGX Data Center Attestation Primitives, "Quote
// Generation Library" and "Quoting Library API" references; provisioning
// certificates and collateral as Intel's PCS API version 4 publishes them.
//
// An enclave of Intel's, the quoting enclave, signs the report of ours with a key
// of its own (ECDSA on P-256). A key of the processor, certified by Intel (PCK),
// signs the quoting enclave's report, which carries the hash of that key:
//
//	root ─ PCK CA ─ PCK ─ report of the quoting enclave ─ attestation key ─ quote
//
// What firmware the processor runs stands in the PCK certificate; whether that is
// good enough, and what the quoting enclave must be, stands in collateral that
// Intel signs and that ends after some weeks. Whoever sends a quote sends the
// collateral with it. Nothing is fetched; without the collateral there is no
// good verdict.
package dcap

import (
	"errors"
	"fmt"

	"cipherdeck/attest/bootlog"
	"cipherdeck/crypto/doc"
)

// The errors of quotes.
var (
	// ErrQuote is wrapped when bytes are not a quote, or one that is not accepted.
	ErrQuote = errors.New("not an accepted quote")
	// ErrChain is wrapped when a certificate ends in no pinned root, is revoked, or
	// revocation cannot be looked up.
	ErrChain = errors.New("certificate is not of an Intel processor")
	// ErrCollateral is wrapped when what Intel says of firmware and quoting enclave
	// is absent, ended, unsigned or about something else.
	ErrCollateral = errors.New("no valid collateral")
)

// Limits of collateral, in bytes.
const (
	MaxCollateral = 512 << 10
	maxInfo       = 256 << 10
	maxCRL        = 128 << 10
	maxCert       = 8 << 10
)

// Collateral is what Intel publishes for a processor, as it is published.
type Collateral struct {
	V          uint8  `cbor:"1,keyasint"` // 1
	TCBInfo    []byte `cbor:"2,keyasint"` // JSON envelope, /sgx|tdx/certification/v4/tcb
	QEIdentity []byte `cbor:"3,keyasint"` // JSON envelope, /sgx|tdx/certification/v4/qe/identity
	Signer     []byte `cbor:"4,keyasint"` // certificate in DER that signed both
	PCKCRL     []byte `cbor:"5,keyasint"` // DER, of the CA that issued the PCK certificate
	RootCRL    []byte `cbor:"6,keyasint"` // DER, of the root
}

// Encode is c as it goes into evidence.
func (c Collateral) Encode() ([]byte, error) {
	c.V = 1
	return doc.Encode(c)
}

// parseCollateral reads what a machine sent. Errors wrap ErrCollateral.
func parseCollateral(raw []byte) (c Collateral, err error) {
	if len(raw) == 0 {
		return c, fmt.Errorf("%w: none was given", ErrCollateral)
	}
	if len(raw) > MaxCollateral {
		return c, fmt.Errorf("%w: %d bytes, limit %d", ErrCollateral, len(raw), MaxCollateral)
	}
	if err := doc.Decode(raw, &c); err != nil {
		return c, fmt.Errorf("%w: %s", ErrCollateral, safe(err))
	}
	if c.V != 1 {
		return c, fmt.Errorf("%w: version %d, want 1", ErrCollateral, c.V)
	}
	for _, f := range []struct {
		name string
		b    []byte
		max  int
	}{{"TCB info", c.TCBInfo, maxInfo}, {"QE identity", c.QEIdentity, maxInfo}, {"signer", c.Signer, maxCert}, {"PCK CRL", c.PCKCRL, maxCRL}, {"root CRL", c.RootCRL, maxCRL}} {
		if len(f.b) == 0 {
			return c, fmt.Errorf("%w: %s is missing", ErrCollateral, f.name)
		}
		if len(f.b) > f.max {
			return c, fmt.Errorf("%w: %s has %d bytes, limit %d", ErrCollateral, f.name, len(f.b), f.max)
		}
	}
	return c, nil
}

// safe is a library's error for a terminal: it may quote bytes of the evidence.
func safe(err error) string { return bootlog.Clean(err.Error()) }

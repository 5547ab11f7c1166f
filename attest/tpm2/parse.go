package tpm2

import (
	"crypto/sha512"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/wire"
)

// statement is what every TPMS_ATTEST begins with (Part 2, 10.12.12). Byte
// slices point into the parsed bytes.
type statement struct {
	QualifiedSigner []byte // name of the AK in its hierarchy
	Bind            []byte // qualifying data
	Boot            attest.Boot
}

// Quoted is a parsed TPMS_ATTEST of type quote.
type Quoted struct {
	statement
	Bank   attest.Bank
	Select [3]byte // bit i of byte i/8 for PCR i
	Digest []byte  // of the selected PCRs, with the hash of the signature
}

// maxName bounds a TPM name: SHA-384 behind its algorithm.
const maxName = 2 + sha512.Size384

// parseHead reads a TPMS_ATTEST up to its attested part.
func parseHead(r *wire.Reader, want uint16) (s statement, err error) {
	magic, kind := r.U32(), r.U16()
	s.QualifiedSigner = r.Sized(maxName)
	s.Bind = r.Sized(64)
	s.Boot.Clock, s.Boot.ResetCount, s.Boot.RestartCount = r.U64(), r.U32(), r.U32()
	safe := r.U8()
	s.Boot.Safe = safe == 1
	s.Boot.Firmware = r.U64()
	switch {
	case r.Err() != nil:
		return s, fmt.Errorf("%w: attestation: %w", ErrSyntax, r.Err())
	case magic != wire.Magic:
		return s, fmt.Errorf("%w: magic %08x, want %08x", ErrMagic, magic, uint32(wire.Magic))
	case kind != want:
		return s, fmt.Errorf("%w: type %04x, want %04x", ErrKind, kind, want)
	case safe > 1:
		return s, fmt.Errorf("%w: attestation: safe is %d, want 0 or 1", ErrSyntax, safe)
	}
	return s, nil
}

// ParseQuote reads a TPMS_ATTEST of exactly one accepted bank. Errors wrap
// ErrMagic, ErrKind, ErrSelection or ErrSyntax.
func ParseQuote(b []byte) (Quoted, error) {
	r := wire.NewReader(b)
	head, err := parseHead(r, wire.TagQuote)
	q := Quoted{statement: head}
	if err != nil {
		return q, err
	}
	banks, alg, size := r.U32(), r.U16(), r.U8()
	q.Bank = attest.Bank(alg)
	if r.Err() == nil && (banks != 1 || q.Bank.Size() == 0 || size != 3) {
		return q, fmt.Errorf("%w: %d banks, first %04x of %d bytes; want 1, SHA-256 or SHA-384, of 3", ErrSelection, banks, alg, size)
	}
	copy(q.Select[:], r.Take(3))
	q.Digest = r.Sized(sha512.Size384)
	if err := r.End(); err != nil {
		return q, fmt.Errorf("%w: quote: %w", ErrSyntax, err)
	}
	if len(q.Digest) != 32 && len(q.Digest) != 48 {
		return q, fmt.Errorf("%w: PCR digest of %d bytes, want 32 or 48", ErrSyntax, len(q.Digest))
	}
	return q, nil
}

// Select is the selection bit field of pcrs, each below 24.
func Select(pcrs []uint8) (bits [3]byte) {
	for _, p := range pcrs {
		if p < 24 {
			bits[p/8] |= 1 << (p % 8)
		}
	}
	return bits
}

package tpm2

import (
	"bytes"
	"crypto/subtle"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/wire"
)

// CheckQuote is the core of a verdict alone: quote is signed by ak, over bind,
// and over exactly these values of bank, ascending. It says nothing of who made the TPM.
// Errors wrap those of ParseQuote and ParseSignature, ErrSignature, ErrBinding
// or ErrSelection.
func CheckQuote(ak AttestationKey, quote, sig, bind []byte, bank attest.Bank, pcrs []attest.PCRValue) error {
	q, err := ParseQuote(quote)
	if err != nil {
		return err
	}
	s, err := ParseSignature(sig)
	if err != nil {
		return err
	}
	if err := checkSigned(ak, q, quote, s); err != nil {
		return err
	}
	if len(bind) == 0 || subtle.ConstantTimeCompare(q.Bind, bind) != 1 {
		return fmt.Errorf("%w: expected %s, got %s", ErrBinding, attest.Short(bind), attest.Short(q.Bind))
	}
	var set []uint8
	for _, v := range pcrs {
		set = append(set, v.Index)
	}
	if err := checkPCRs(set); err != nil { // a selection has no order, so equal values could change places
		return fmt.Errorf("%w: %w", ErrSelection, err)
	}
	return checkValues(q, bank, set, pcrs)
}

func checkSigned(ak AttestationKey, q Quoted, quote []byte, s Signature) error {
	if want := qualifiedName(wire.HandleEndorsement, ak.Name); subtle.ConstantTimeCompare(q.QualifiedSigner, want) != 1 {
		return fmt.Errorf("%w: signer %s, want %s", ErrSignature, attest.Short(q.QualifiedSigner), attest.Short(want))
	}
	if !ak.Verify(quote, s) {
		return ErrSignature
	}
	if len(q.Digest) != ak.Hash.Size() {
		return fmt.Errorf("%w: PCR digest of %d bytes, the AK's hash has %d", ErrSyntax, len(q.Digest), ak.Hash.Size())
	}
	return nil
}

// checkValues holds the values given against the quote: exactly set, in its
// order, of one bank.
func checkValues(q Quoted, bank attest.Bank, set []uint8, values []attest.PCRValue) error {
	if q.Bank != bank {
		return fmt.Errorf("%w: asked for bank %04x, got %04x", ErrSelection, uint16(bank), uint16(q.Bank))
	}
	if got, want := q.Select, Select(set); got != want {
		return fmt.Errorf("%w: expected selection %x, got %x", ErrSelection, want, got)
	}
	if len(values) != len(set) {
		return fmt.Errorf("%w: expected %d PCR values, got %d", ErrSelection, len(set), len(values))
	}
	for i, v := range values {
		if v.Index != set[i] {
			return fmt.Errorf("%w: value %d: expected PCR %d, got PCR %d", ErrSelection, i, set[i], v.Index)
		}
		if len(v.Value) != bank.Size() {
			return fmt.Errorf("%w: PCR %d: value of %d bytes, want %d", ErrSelection, v.Index, len(v.Value), bank.Size())
		}
	}
	if got := digestOf(len(q.Digest), values); !bytes.Equal(got, q.Digest) {
		return fmt.Errorf("%w: PCR digest: quoted %s, values give %s", ErrSelection, attest.Short(q.Digest), attest.Short(got))
	}
	return nil
}

package dcap

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
)

// Add takes a file as Intel's service gives it and puts it in its place: TCB
// info, QE identity, a revocation list (DER, hex or PEM), or the chain of who
// signed (PEM or DER). Nothing is verified. Errors wrap ErrCollateral.
func (c *Collateral) Add(raw []byte) error {
	if len(raw) > MaxCollateral {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrCollateral, len(raw), MaxCollateral)
	}
	text := bytes.TrimSpace(raw)
	switch {
	case bytes.HasPrefix(text, []byte(`{"tcbInfo"`)):
		c.TCBInfo = text
		return nil
	case bytes.HasPrefix(text, []byte(`{"enclaveIdentity"`)):
		c.QEIdentity = text
		return nil
	}
	if der, err := hex.DecodeString(string(text)); err == nil && len(der) > 0 {
		return c.der(der)
	}
	b, rest := pem.Decode(text)
	if b == nil {
		return c.der(raw)
	}
	for ; b != nil; b, rest = pem.Decode(rest) {
		if err := c.der(b.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// der sorts one list or certificate. Intel's root comes with each quote, and is
// passed over here.
func (c *Collateral) der(der []byte) error {
	if l, err := x509.ParseRevocationList(der); err == nil {
		if l.Issuer.CommonName == "Intel SGX Root CA" {
			c.RootCRL = der
		} else {
			c.PCKCRL = der
		}
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("%w: neither TCB info, QE identity, revocation list nor certificate", ErrCollateral)
	}
	if !cert.IsCA {
		c.Signer = der
	}
	return nil
}

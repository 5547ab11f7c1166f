// Package ek says who made a TPM, from its endorsement key certificate.
//
// The maker signs, once, a certificate for a key that never leaves the chip
// (TCG EK Credential Profile 2.6). What such a chain is worth is decided by the
// root that it ends in: roots of chips and roots of hypervisors are shipped
// (package tpmroots), and a user may add some. What the machine says of itself
// decides nothing, with one exception that only lowers the verdict: a
// certificate that bears Mark is of a software TPM.
//
// A chain says who made the TPM. It does not say that the TPM is in the machine
// that shows it, nor that the attestation key is in this TPM: that is what
// credential activation is for (package tpm2).
package ek

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"cipherdeck/attest"
)

// The errors of a chain.
var (
	// ErrChain is wrapped when a chain ends in no accepted root.
	ErrChain = errors.New("EK certificate is of no accepted TPM maker")
	// ErrCertificate is wrapped when a certificate is not one of an EK.
	ErrCertificate = errors.New("not an EK certificate")
)

// Bounds of a chain.
const (
	MaxChain = 6
	MaxDER   = 8 << 10 // of one certificate, in bytes
)

// Made is what a verified chain says of a TPM.
type Made struct {
	Kind     attest.RootKind // from the root it ended in; a software TPM's mark overrules it
	Maker    string          // of that root, and the model that the certificate names
	Key      []byte          // SubjectPublicKeyInfo of the EK
	Serials  []string        // of the certificates, in hex, the EK's first
	NotAfter time.Time       // when the first certificate of the chain ends
}

// Verify checks chain, DER with the EK's certificate first, against the shipped
// roots and added ones at the time now. Errors wrap ErrChain or
// ErrCertificate.
func Verify(chain [][]byte, added []attest.Root, now time.Time) (Made, error) {
	certs, err := parse(chain)
	if err != nil {
		return Made{}, err
	}
	leaf := certs[0]
	device, err := checkLeaf(leaf)
	if err != nil {
		return Made{}, err
	}
	var a *anchors
	if marked(certs) {
		if a, err = selfMade(certs); err != nil {
			return Made{}, err
		}
	} else if a, err = accepted(added); err != nil {
		return Made{}, err
	}
	for _, c := range certs[1:] {
		a.between.AddCert(c)
	}
	found, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: a.between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Made{}, fmt.Errorf("%w: issuer %q: %w", ErrChain, clean(leaf.Issuer.CommonName), err)
	}
	if i := unused(certs, found); i > 0 {
		return Made{}, fmt.Errorf("%w: certificate %d belongs to no chain", ErrChain, i)
	}
	return a.conclude(found, device), nil
}

func parse(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > MaxChain {
		return nil, fmt.Errorf("%w: chain of %d certificates, want 1 to %d", ErrCertificate, len(chain), MaxChain)
	}
	var out []*x509.Certificate
	for i, der := range chain {
		if len(der) > MaxDER {
			return nil, fmt.Errorf("%w: certificate %d has %d bytes, limit %d", ErrCertificate, i, len(der), MaxDER)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrCertificate, i, err)
		}
		if !bytes.Equal(c.Raw, der) {
			return nil, fmt.Errorf("%w: certificate %d: trailing bytes", ErrCertificate, i)
		}
		out = append(out, c)
	}
	return out, nil
}

// usage is tcg-kp-EKCertificate, the one purpose of an EK certificate.
func usage() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 8, 1} }

// checkLeaf holds a certificate against the profile, and returns what it says
// of the device. Its subject alternative name is critical and is a directory
// name, which package x509 leaves unhandled: it is handled here.
func checkLeaf(c *x509.Certificate) (device string, err error) {
	purpose := false
	for _, u := range c.UnknownExtKeyUsage {
		purpose = purpose || u.Equal(usage())
	}
	switch {
	case !purpose:
		return "", fmt.Errorf("%w: extended key usage is not %s", ErrCertificate, usage())
	case c.IsCA:
		return "", fmt.Errorf("%w: it is of an authority", ErrCertificate)
	}
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return "", fmt.Errorf("%w: RSA key of %d bits, want at least 2048", ErrCertificate, k.N.BitLen())
		}
		if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
			return "", fmt.Errorf("%w: key usage without key encipherment", ErrCertificate)
		}
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n != 256 && n != 384 {
			return "", fmt.Errorf("%w: key on %s, want P-256 or P-384", ErrCertificate, k.Curve.Params().Name)
		}
		if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageKeyAgreement == 0 {
			return "", fmt.Errorf("%w: key usage without key agreement", ErrCertificate)
		}
	default:
		return "", fmt.Errorf("%w: key of type %T, want RSA or ECDSA", ErrCertificate, k)
	}
	if device, err = deviceOf(c); err != nil {
		return "", err
	}
	left := c.UnhandledCriticalExtensions[:0:0]
	for _, oid := range c.UnhandledCriticalExtensions {
		if !oid.Equal(altName()) && !oid.Equal(Mark()) {
			left = append(left, oid)
		}
	}
	c.UnhandledCriticalExtensions = left
	return device, nil
}

// unused is the number of the first certificate that is in no chain: nothing
// that is sent goes unchecked. 0 when there is none.
func unused(certs []*x509.Certificate, found [][]*x509.Certificate) int {
	for i, c := range certs[1:] {
		used := false
		for _, chain := range found {
			used = used || slices.ContainsFunc(chain, c.Equal)
		}
		if !used {
			return i + 1
		}
	}
	return 0
}

// conclude picks the chain with the strongest root.
func (a *anchors) conclude(found [][]*x509.Certificate, device string) Made {
	var best Made
	for _, chain := range found {
		k := a.known[sha256.Sum256(chain[len(chain)-1].Raw)]
		if k.Kind < best.Kind || best.Key != nil && k.Kind == best.Kind {
			continue
		}
		best = Made{Kind: k.Kind, Maker: clean(k.Name), Key: chain[0].RawSubjectPublicKeyInfo, NotAfter: chain[0].NotAfter}
		if device != "" {
			best.Maker += " (" + device + ")"
		}
		for _, c := range chain {
			best.Serials = append(best.Serials, fmt.Sprintf("%x", c.SerialNumber))
			if c.NotAfter.Before(best.NotAfter) {
				best.NotAfter = c.NotAfter
			}
		}
	}
	return best
}

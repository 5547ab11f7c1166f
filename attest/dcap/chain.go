package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// intelRoot is SHA-256 of the certificate of "Intel SGX Root CA" in DER, as
// https://certificates.trustedservices.intel.com has it. It comes with each
// quote, so it is not carried here.
const intelRoot = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"

// Pin says whether a certificate in DER is the root.
type Pin func(der []byte) bool

// Intel is the pin of Intel's root.
func Intel(der []byte) bool {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]) == intelRoot
}

// chain is the certificates of a quote, verified.
type chain struct {
	pck, ca, root *x509.Certificate
	key           *ecdsa.PublicKey
	ext           extensions
}

// verifyChain verifies PCK, CA and root at the time now. Errors wrap ErrChain.
func verifyChain(der [][]byte, pin Pin, now time.Time) (*chain, error) {
	var certs [3]*x509.Certificate
	for i, name := range []string{"PCK", "CA", "root"} {
		c, err := certificate(der[i])
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %s", ErrChain, name, safe(err))
		}
		certs[i] = c
	}
	c := &chain{pck: certs[0], ca: certs[1], root: certs[2]}
	if !pin(c.root.Raw) {
		return nil, fmt.Errorf("%w: its root %q is not the pinned one", ErrChain, safe(fmt.Errorf("%s", c.root.Subject)))
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(c.root)
	between.AddCert(c.ca)
	if _, err := c.pck.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrChain, safe(err))
	}
	var err error
	if c.key, err = p256(c.pck); err != nil {
		return nil, err
	}
	c.ext, err = readExtensions(c.pck)
	return c, err
}

func certificate(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCert {
		return nil, fmt.Errorf("%d bytes, limit %d", len(der), maxCert)
	}
	c, err := x509.ParseCertificate(der)
	if err == nil && !bytes.Equal(c.Raw, der) {
		err = fmt.Errorf("trailing bytes")
	}
	return c, err
}

func p256(c *x509.Certificate) (*ecdsa.PublicKey, error) {
	k, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: its key is not on P-256", ErrChain)
	}
	return k, nil
}

// ends is when the first certificate ends.
func (c *chain) ends() time.Time {
	return slices.MinFunc([]time.Time{c.pck.NotAfter, c.ca.NotAfter, c.root.NotAfter}, time.Time.Compare)
}

// revoked looks every certificate up, and the signer of the collateral; end is
// when the first list ends. Errors wrap ErrChain.
func (c *chain) revoked(col Collateral, signer *x509.Certificate, now time.Time) (end time.Time, err error) {
	pck, err := crl("PCK CRL", col.PCKCRL, c.ca, now)
	if err != nil {
		return end, err
	}
	root, err := crl("root CRL", col.RootCRL, c.root, now)
	if err != nil {
		return end, err
	}
	for _, l := range []struct {
		name string
		list *x509.RevocationList
		cert *x509.Certificate
	}{{"the PCK", pck, c.pck}, {"the CA", root, c.ca}, {"the signer of the collateral", root, signer}} {
		for _, r := range l.list.RevokedCertificateEntries {
			if r.SerialNumber.Cmp(l.cert.SerialNumber) == 0 {
				return end, fmt.Errorf("%w: %s is revoked, serial %x, since %s", ErrChain, l.name, r.SerialNumber, r.RevocationTime.UTC().Format(time.DateOnly))
			}
		}
	}
	return slices.MinFunc([]time.Time{pck.NextUpdate, root.NextUpdate}, time.Time.Compare), nil
}

func crl(name string, der []byte, issuer *x509.Certificate, now time.Time) (*x509.RevocationList, error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrChain, name, safe(err))
	}
	switch {
	case !bytes.Equal(l.Raw, der):
		return nil, fmt.Errorf("%w: %s: trailing bytes", ErrChain, name)
	case !bytes.Equal(l.RawIssuer, issuer.RawSubject):
		return nil, fmt.Errorf("%w: %s is of another CA than the one that issued", ErrChain, name)
	case now.Before(l.ThisUpdate):
		return nil, fmt.Errorf("%w: %s begins %s", ErrChain, name, l.ThisUpdate.UTC().Format(time.RFC3339))
	case !now.Before(l.NextUpdate):
		return nil, fmt.Errorf("%w: %s ended %s; get a newer one", ErrChain, name, l.NextUpdate.UTC().Format(time.RFC3339))
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("%w: %s: %s", ErrChain, name, safe(err))
	}
	return l, nil
}

// verifySigner verifies the certificate that signs collateral, which Intel's
// root certifies itself. Errors wrap ErrCollateral.
func verifySigner(der []byte, root *x509.Certificate, now time.Time) (*x509.Certificate, *ecdsa.PublicKey, error) {
	c, err := certificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: signer: %s", ErrCollateral, safe(err))
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	if _, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, nil, fmt.Errorf("%w: signer: %s", ErrCollateral, safe(err))
	}
	if c.IsCA || c.Subject.CommonName != "Intel SGX TCB Signing" {
		return nil, nil, fmt.Errorf("%w: signer: %q signs no collateral", ErrCollateral, safe(fmt.Errorf("%s", c.Subject.CommonName)))
	}
	k, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, nil, fmt.Errorf("%w: signer: its key is not on P-256", ErrCollateral)
	}
	return c, k, nil
}

// extensions is what a PCK certificate says of its processor (Intel SGX PCK
// Certificate and CRL Profile specification, section 1.3.5).
type extensions struct {
	fmspc  [6]byte
	pceID  [2]byte
	comps  [16]byte // SVNs of the processor's firmware
	pceSVN uint16
}

func oidSGX(tail ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, tail...)
}

// field is one of the pairs that the extension is made of.
type field struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

func readExtensions(c *x509.Certificate) (x extensions, err error) {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSGX()) })
	if i < 0 {
		return x, fmt.Errorf("%w: the PCK has no SGX extension", ErrChain)
	}
	all, err := fields(c.Extensions[i].Value)
	if err != nil {
		return x, err
	}
	tcb, err := fields(all[oidSGX(2).String()].FullBytes)
	if err != nil {
		return x, err
	}
	for i := range x.comps {
		n, err := number(tcb, oidSGX(2, i+1), 255)
		if err != nil {
			return x, err
		}
		x.comps[i] = byte(n)
	}
	n, err := number(tcb, oidSGX(2, 17), 65535)
	if err != nil {
		return x, err
	}
	x.pceSVN = uint16(n)
	if err := octets(all, oidSGX(4), x.fmspc[:]); err != nil {
		return x, err
	}
	return x, octets(all, oidSGX(3), x.pceID[:])
}

// fields reads SEQUENCE OF SEQUENCE {OID, value}; none twice.
func fields(der []byte) (map[string]asn1.RawValue, error) {
	var list []field
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("%w: the PCK's SGX extension is not well formed", ErrChain)
	}
	out := map[string]asn1.RawValue{}
	for _, f := range list {
		if _, twice := out[f.ID.String()]; twice {
			return nil, fmt.Errorf("%w: the PCK's SGX extension has %s twice", ErrChain, f.ID)
		}
		out[f.ID.String()] = f.Value
	}
	return out, nil
}

func number(all map[string]asn1.RawValue, oid asn1.ObjectIdentifier, most int) (n int, err error) {
	if rest, err := asn1.Unmarshal(all[oid.String()].FullBytes, &n); err != nil || len(rest) != 0 || n < 0 || n > most {
		return 0, fmt.Errorf("%w: the PCK's SGX extension: %s is not a number up to %d", ErrChain, oid, most)
	}
	return n, nil
}

func octets(all map[string]asn1.RawValue, oid asn1.ObjectIdentifier, into []byte) error {
	var b []byte
	if rest, err := asn1.Unmarshal(all[oid.String()].FullBytes, &b); err != nil || len(rest) != 0 || len(b) != len(into) {
		return fmt.Errorf("%w: the PCK's SGX extension: %s is not %d bytes", ErrChain, oid, len(into))
	}
	copy(into, b)
	return nil
}

package ek

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"sync"

	"cipherdeck/assets/tpmroots"
	"cipherdeck/attest"
)

// anchors is what chains may end in.
type anchors struct {
	roots, between *x509.CertPool
	known          map[[32]byte]attest.Root
}

func newAnchors() *anchors {
	return &anchors{roots: x509.NewCertPool(), between: x509.NewCertPool(), known: map[[32]byte]attest.Root{}}
}

func (a *anchors) add(r attest.Root) error {
	c, err := x509.ParseCertificate(r.Cert)
	if err != nil {
		return fmt.Errorf("%w: root %q: %w", ErrCertificate, r.Name, err)
	}
	a.roots.AddCert(c)
	if old, ok := a.known[sha256.Sum256(c.Raw)]; !ok || old.Kind < r.Kind {
		a.known[sha256.Sum256(c.Raw)] = r
	}
	return nil
}

// selfMade accepts the last certificate of a chain that bears the mark, for
// nothing more than software.
func selfMade(certs []*x509.Certificate) (*anchors, error) {
	a, last := newAnchors(), certs[len(certs)-1]
	if err := last.CheckSignature(last.SignatureAlgorithm, last.RawTBSCertificate, last.Signature); err != nil {
		return nil, fmt.Errorf("%w: the last certificate does not sign itself: %w", ErrChain, err)
	}
	a.roots.AddCert(last)
	a.known[sha256.Sum256(last.Raw)] = attest.Root{Name: "itself", Kind: attest.RootSoftware}
	return a, nil
}

// shipped is what the program carries, parsed at the first verdict that needs
// it and the same ever after: the bytes are part of the program. Nobody may
// change what it returns.
var shipped = sync.OnceValues(parseShipped)

func parseShipped() (*anchors, error) {
	roots, err := Shipped()
	if err != nil {
		return nil, err
	}
	a := newAnchors()
	for _, r := range roots {
		if err := a.add(r); err != nil {
			return nil, err
		}
	}
	between, err := tpmroots.All(tpmroots.Intermediates)
	if err != nil {
		return nil, err
	}
	for _, c := range between {
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			return nil, fmt.Errorf("shipped %s: %w", c.File, err)
		}
		a.between.AddCert(cert)
	}
	return a, nil
}

// accepted is the shipped roots and added ones, for one verdict to add to.
func accepted(added []attest.Root) (*anchors, error) {
	s, err := shipped()
	if err != nil {
		return nil, err
	}
	a := &anchors{roots: s.roots.Clone(), between: s.between.Clone(), known: maps.Clone(s.known)}
	for _, r := range added {
		if err := a.add(r); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Shipped lists the roots inside the program.
func Shipped() ([]attest.Root, error) {
	var out []attest.Root
	for _, k := range []struct {
		folder string
		kind   attest.RootKind
	}{{tpmroots.Hardware, attest.RootHardware}, {tpmroots.VTPM, attest.RootVTPM}} {
		certs, err := tpmroots.All(k.folder)
		if err != nil {
			return nil, err
		}
		for _, c := range certs {
			out = append(out, attest.Root{Name: c.Maker, Kind: k.kind, Cert: c.DER})
		}
	}
	return out, nil
}

// Missing names makers whose roots could not be obtained to be shipped: a user
// who has one from its maker can add it.
func Missing() []string {
	return []string{
		"Intel On-Die CA (ODCA) of firmware TPMs since 11th generation Core",
		"Microsoft Azure Virtual TPM Root Certificate Authority 2023",
		"Microsoft Pluton",
		"Qualcomm", "Samsung", "Sinosun", "Alibaba Cloud vTPM", "Amazon NitroTPM", "VMware vTPM (each installation has its own)",
	}
}

// CheckAdded holds a certificate that a user wants to add against the rules:
// an authority, and not one of a software TPM. Errors wrap ErrCertificate.
func CheckAdded(r attest.Root) error {
	c, err := x509.ParseCertificate(r.Cert)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	case !c.IsCA:
		return fmt.Errorf("%w: %q is not of an authority", ErrCertificate, clean(c.Subject.CommonName))
	case marked([]*x509.Certificate{c}):
		return fmt.Errorf("%w: it is the mark of a software TPM, which is never more than that", ErrCertificate)
	case r.Kind != attest.RootHardware && r.Kind != attest.RootVTPM && r.Kind != attest.RootSoftware:
		return fmt.Errorf("%w: a root is of kind hardware, vtpm or software", ErrCertificate)
	}
	return nil
}

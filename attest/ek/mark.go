package ek

import (
	"crypto/x509"
	"encoding/asn1"
)

// SoftwareName is the common name of a software TPM's certificates.
const SoftwareName = "SOFTWARE TPM - NO HARDWARE TRUST"

// Mark is the object identifier of the extension by which a software TPM says
// what it is. It lies in the arc that is reserved for examples (2.999): nobody
// can be assigned it, so no maker's certificate has it. A certificate with the
// mark is of software, whatever else it says and whoever signed it.
func Mark() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 999, 20061, 1} }

func marked(chain []*x509.Certificate) bool {
	for _, c := range chain {
		if c.Subject.CommonName == SoftwareName || c.Issuer.CommonName == SoftwareName {
			return true
		}
		for _, e := range c.Extensions {
			if e.Id.Equal(Mark()) {
				return true
			}
		}
	}
	return false
}

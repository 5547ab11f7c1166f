package ek

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"unicode"
)

func altName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }

// deviceOf reads maker, model and version from the subject alternative name
// (EK Credential Profile, 3.2.9), for people. "" when there is none.
func deviceOf(c *x509.Certificate) (string, error) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(altName()) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) != 0 {
			return "", fmt.Errorf("%w: subject alternative name is not well formed", ErrCertificate)
		}
		for _, n := range names {
			if n.Class != asn1.ClassContextSpecific || n.Tag != 4 { // directoryName
				continue
			}
			var rdns pkix.RDNSequence
			if rest, err := asn1.Unmarshal(n.Bytes, &rdns); err != nil || len(rest) != 0 {
				return "", fmt.Errorf("%w: directory name is not well formed", ErrCertificate)
			}
			return describe(rdns), nil
		}
	}
	return "", nil
}

// describe joins the TCG attributes: 2.23.133.2.1 manufacturer, .2 model, .3
// firmware version.
func describe(rdns pkix.RDNSequence) string {
	var out []string
	for _, set := range rdns {
		for _, a := range set {
			s, ok := a.Value.(string)
			if !ok || len(a.Type) != 5 || !a.Type[:4].Equal(asn1.ObjectIdentifier{2, 23, 133, 2}) {
				continue
			}
			out = append(out, clean(s))
		}
	}
	return strings.Join(out, " ")
}

// clean makes a name from a certificate fit for a terminal.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return s
}

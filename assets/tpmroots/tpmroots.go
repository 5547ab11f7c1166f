// Package tpmroots carries the certificates of TPM makers inside the program:
// roots of chips (hardware), roots of TPMs that hypervisors offer (vtpm), and
// intermediates that machines often do not send. One PEM file a certificate,
// named MAKER--what.pem. docs/tpm-roots.md lists them with their SHA-256, where
// they come from, and the makers that are missing.
//
// Left out on purpose: makers' roots of TPM 1.2.
package tpmroots

import (
	"embed"
	"encoding/pem"
	"fmt"
	"path"
	"strings"
)

//go:embed hardware/*.pem vtpm/*.pem intermediates/*.pem
var files embed.FS

// The kinds of certificate, and the folders that they lie in.
const (
	Hardware      = "hardware"
	VTPM          = "vtpm"
	Intermediates = "intermediates"
)

// Certificate is one shipped certificate.
type Certificate struct {
	Maker string
	File  string
	DER   []byte
}

// All lists the certificates of one kind, by file name.
func All(kind string) ([]Certificate, error) {
	entries, err := files.ReadDir(kind)
	if err != nil {
		return nil, fmt.Errorf("shipped TPM roots: %w", err)
	}
	var out []Certificate
	for _, e := range entries {
		raw, err := files.ReadFile(path.Join(kind, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("shipped TPM roots: %w", err)
		}
		b, _ := pem.Decode(raw)
		maker, _, ok := strings.Cut(e.Name(), "--")
		if b == nil || !ok {
			return nil, fmt.Errorf("shipped TPM roots: %s is not a certificate of a maker", e.Name())
		}
		out = append(out, Certificate{Maker: maker, File: path.Join(kind, e.Name()), DER: b.Bytes})
	}
	return out, nil
}

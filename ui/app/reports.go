package app

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/kinds"
	"cipherdeck/attest/report"
	"cipherdeck/attest/sgx"
	"cipherdeck/attest/snp"
	"cipherdeck/attest/tdx"
)

// ReportSpec is a report of a trusted execution environment in a file, and what
// is known of what it must be.
type ReportSpec struct {
	File     string   // SEV-SNP report, TDX or SGX quote, as the environment gave it
	With     []string // files that go with it: certificates, lists, Intel's collateral
	Manifest string   // "": not known
	Bind     []byte   // first half of the free data; nil: not known
	Policy   attest.Policy
	At       time.Time
}

// maxReport bounds a report and what goes with it, in bytes.
const maxReport = 512 << 10

// JudgeReport judges a report offline. Which kind it is, is seen from its bytes.
// The error wraps attest.ErrRefused when a link broke, or was not checked because
// nobody said what it must be.
func JudgeReport(ctx context.Context, spec ReportSpec) (*attest.Verdict, error) {
	raw, err := readAtMost(spec.File, maxReport)
	if err != nil {
		return nil, err
	}
	e := attest.Evidence{V: report.Version, Type: kindOf(raw), Quote: raw}
	if e.Type == "" {
		return nil, fmt.Errorf("%w: %s: neither an SEV-SNP report of 1184 bytes, a TDX quote of version 4 nor an SGX quote of version 3", ErrInput, spec.File)
	}
	if err := spec.gather(&e); err != nil {
		return nil, err
	}
	if spec.Manifest != "" {
		if e.Manifest, err = readAtMost(spec.Manifest, maxReport); err != nil {
			return nil, err
		}
	}
	v, err := kinds.Verify(ctx, attest.Challenge{}, e, attest.Expect{
		Bind: spec.Bind, Subject: "report " + spec.File, Policy: spec.Policy, Now: spec.At, Look: true,
	})
	if err != nil {
		return nil, err
	}
	switch b := v.Broken(); {
	case b != nil:
		return v, fmt.Errorf("%w: %s: %s", attest.ErrRefused, b.ID, b.Found)
	case !v.OK():
		return v, fmt.Errorf("%w: nothing is broken, and not everything was checked: give --bind and --manifest", attest.ErrRefused)
	}
	return v, nil
}

// kindOf is the type of evidence that raw begins like; "" for none.
func kindOf(raw []byte) string {
	const snpSize = 1184
	if len(raw) == snpSize {
		return snp.Type
	}
	if len(raw) < 8 {
		return ""
	}
	switch version, tee := binary.LittleEndian.Uint16(raw), binary.LittleEndian.Uint32(raw[4:]); {
	case version == 4 && tee == 0x81:
		return tdx.Type
	case version == 3:
		return sgx.Type
	}
	return ""
}

// gather reads what goes with a report: for SEV-SNP the chip's certificate, for
// the others what Intel publishes.
func (s ReportSpec) gather(e *attest.Evidence) error {
	var c dcap.Collateral
	for _, name := range s.With {
		raw, err := readAtMost(name, maxReport)
		if err != nil {
			return err
		}
		if e.Type == snp.Type {
			if b, _ := pem.Decode(raw); b != nil {
				raw = b.Bytes
			}
			e.EKChain = append(e.EKChain, raw)
			continue
		}
		if err := c.Add(raw); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if e.Type == snp.Type || len(s.With) == 0 {
		return nil
	}
	var err error
	e.Collateral, err = c.Encode()
	return err
}

// readAtMost reads a file of at most max bytes.
func readAtMost(name string, max int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrInput, name, max)
	}
	return b, err
}

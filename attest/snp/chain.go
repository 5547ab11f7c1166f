package snp

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	spb "github.com/google/go-sev-guest/proto/sevsnp"

	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/report"
)

// The errors of a report.
var (
	// ErrReport is wrapped when bytes are not a report, or one that is not accepted.
	ErrReport = errors.New("not an accepted SEV-SNP report")
	// ErrChain is wrapped when the chip's certificate ends in no pinned root, or is
	// for another chip or firmware than the report says.
	ErrChain = errors.New("certificate is not of this AMD chip")
)

// maxDER bounds the chip's certificate, in bytes.
const maxDER = 8 << 10

// reading is one report under way.
type reading struct {
	roots func(line string) (*product, error)

	report *spb.Report
	cert   *x509.Certificate
	root   *product
	line   string
}

// parse reads a report of exactly one length. The module's parser loses what it
// does not know, so what it understood must encode to the same bytes again.
func parse(raw []byte) (*spb.Report, error) {
	if len(raw) != abi.ReportSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrReport, len(raw), abi.ReportSize)
	}
	if err := abi.ValidateReportFormat(raw); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrReport, safe(err))
	}
	r, err := abi.ReportToProto(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrReport, safe(err))
	}
	if again, err := abi.ReportToAbiBytes(r); err != nil || !bytes.Equal(again, raw) {
		return nil, fmt.Errorf("%w: it has another encoding than the one accepted", ErrReport)
	}
	return r, nil
}

// safe is a library's error for a terminal: it may quote bytes of the evidence.
func safe(err error) string { return bootlog.Clean(err.Error()) }

// chain finds the product line, verifies ARK, ASK and VCEK at the time asked
// for, and holds the VCEK's extensions against the report: the certificate is
// for one chip and one set of firmware versions.
func (r *reading) chain(t *report.Trial) (err error) {
	if r.report, err = parse(t.E.Quote); err != nil {
		return err
	}
	info, err := abi.ParseSignerInfo(r.report.GetSignerInfo())
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", ErrReport, safe(err))
	case info.SigningKey != abi.VcekReportSigner:
		return fmt.Errorf("%w: signed by a %v, only keys of chips (VCEK) are accepted", ErrReport, info.SigningKey)
	case info.MaskChipKey:
		return fmt.Errorf("%w: the chip's number is masked", ErrReport)
	}
	if err := r.parseCert(t.E.EKChain); err != nil {
		return err
	}
	ext, err := kds.VcekCertificateExtensions(r.cert)
	if err != nil {
		return fmt.Errorf("%w: extensions: %s", ErrChain, safe(err))
	}
	if r.line, err = lineOf(r.report, ext); err != nil {
		return err
	}
	if r.root, err = r.roots(r.line); err != nil {
		return err
	}
	if err := r.verifyChain(t.X.Now); err != nil {
		return err
	}
	switch {
	case !bytes.Equal(ext.HWID, r.report.GetChipId()):
		return fmt.Errorf("%w: it is for chip %.8x…, the report is of chip %.8x…", ErrChain, ext.HWID, r.report.GetChipId())
	case uint64(ext.TCBVersion) != r.report.GetReportedTcb():
		return fmt.Errorf("%w: it is for TCB %016x, the report says %016x", ErrChain, uint64(ext.TCBVersion), r.report.GetReportedTcb())
	}
	t.Maker, t.SPKI = "AMD "+r.line, r.cert.RawSubjectPublicKeyInfo
	t.Ends = r.cert.NotAfter
	for _, c := range []*x509.Certificate{r.cert, r.root.ProductCerts.Ask, r.root.ProductCerts.Ark} {
		t.Serials = append(t.Serials, fmt.Sprintf("%x", c.SerialNumber))
		if c.NotAfter.Before(t.Ends) {
			t.Ends = c.NotAfter
		}
	}
	return nil
}

func (r *reading) parseCert(chain [][]byte) error {
	if len(chain) != 1 || len(chain[0]) > maxDER {
		return fmt.Errorf("%w: want the VCEK's certificate alone, at most %d bytes; ARK and ASK are pinned", ErrChain, maxDER)
	}
	c, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return fmt.Errorf("%w: %s", ErrChain, safe(err))
	}
	if !bytes.Equal(c.Raw, chain[0]) {
		return fmt.Errorf("%w: trailing bytes", ErrChain)
	}
	r.cert = c
	return nil
}

// lineOf is the line of processors: reports from version 3 on say it, older
// ones leave it to the certificate, whose word AMD signed.
func lineOf(p *spb.Report, ext *kds.Extensions) (string, error) {
	if fms := p.GetCpuid1EaxFms(); fms != 0 {
		return kds.ProductLineFromFms(fms), nil
	}
	name, err := kds.ParseProductName(ext.ProductName, abi.VcekReportSigner)
	if err != nil {
		return "", fmt.Errorf("%w: product name: %s", ErrChain, safe(err))
	}
	return kds.ProductLine(name), nil
}

func (r *reading) verifyChain(now time.Time) error {
	o := r.root.X509Options(now, abi.VcekReportSigner)
	if o == nil {
		return fmt.Errorf("%w: no root is pinned for processors of line %q", ErrChain, r.line)
	}
	o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	if _, err := r.cert.Verify(*o); err != nil {
		return fmt.Errorf("%w: line %s: %s", ErrChain, r.line, safe(err))
	}
	return nil
}

// Package tdx verifies quotes of Intel TDX, version 4, TD report 1.0. What they
// have in common with those of SGX is in package dcap. Parsing and signatures are
// verified a second time by github.com/google/go-tdx-guest, which is given no
// collateral: see docs/decisions/0016-reports-offline.md.
//
// Tried with one real quote of a Sapphire Rapids processor and collateral of
// 2023; version 5 quotes are refused.
package tdx

import (
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/google/go-tdx-guest/verify"

	"cipherdeck/attest"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/report"
)

// Type is that of the evidence.
const Type = "tdx"

// Offsets in the TD report of a quote (Intel TDX DCAP Quoting Library API,
// appendix A.3.2).
const (
	bodySize     = 584
	atAttributes = 120
	atMRTD       = 136 // then MRCONFIGID, MROWNER, MROWNERCONFIG and RTMR 0 to 3
	atReportData = 520
)

// Verifier checks TDX evidence against Intel's root. Errors wrap report.ErrAsk.
func Verifier() attest.Verifier { return kind().Verifier(dcap.Intel) }

func kind() dcap.Kind {
	return dcap.Kind{Type: Type, Root: attest.RootTDX, Version: 4, TEE: 0x81, BodySize: bodySize, TCBInfo: "TDX", QEIdentity: "TD_QE",
		Data:        func(b []byte) []byte { return b[atReportData:] },
		Measurement: Measurement,
		Debug:       debug,
		Again:       again,
	}
}

// Measurement is what a manifest names of a TD: SHA-384 of its eight registers,
// MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG, RTMR 0 to 3, each 48 bytes. The first
// covers what was loaded, the last four what was measured since; those between
// are said by who started it.
func Measurement(body []byte) []byte {
	sum := sha512.Sum384(body[atMRTD:atReportData])
	return sum[:]
}

// Bits of a TD's attributes (Intel TDX module 1.5 ABI, "ATTRIBUTES").
const (
	offTD      = 0xFF   // the first byte: any bit makes it a TD under debug
	bitSEPT    = 1 << 4 // of byte 3: no exception on pages that the host took away
	bitMigrate = 1 << 5 // of byte 3: a migration TD holds its keys
)

// debug reads the attributes of the TD.
func debug(t *report.Trial, body []byte) (attest.State, string) {
	attr := body[atAttributes : atAttributes+8]
	t.Show("attributes", attr)
	for i, name := range []string{"MRTD", "MRCONFIGID", "MROWNER", "MROWNERCONFIG", "RTMR0", "RTMR1", "RTMR2", "RTMR3"} {
		t.Show(name, body[atMRTD+48*i:atMRTD+48*(i+1)])
	}
	switch {
	case attr[0]&offTD != 0:
		return attest.Fail, "the TD was started for debugging: the host reads its memory"
	case attr[3]&bitMigrate != 0:
		return attest.Fail, "the TD may be migrated: another one holds its keys"
	case attr[3]&bitSEPT == 0:
		return attest.Warn, "no debugger; the host can make pages vanish and the TD go on (SEPT_VE_DISABLE is off)"
	}
	return attest.Pass, "no debugger, no migration"
}

// again has Google's module verify the quote. It must be given roots, or it
// prints a warning; and nothing to fetch.
func again(raw, root []byte, now time.Time) error {
	c, err := x509.ParseCertificate(root)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	if err := verify.RawTdxQuote(raw, &verify.Options{TrustedRoots: pool, Now: now}); err != nil {
		return fmt.Errorf("second reader: %w", err)
	}
	return nil
}

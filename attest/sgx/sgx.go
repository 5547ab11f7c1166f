// Package sgx verifies quotes of Intel SGX, version 3, signed by ECDSA (DCAP).
// What they have in common with those of TDX is in package dcap. Quotes by EPID,
// which ended in 2025, are refused.
//
// Tried with one real quote, whose collateral is of 2023 and came without
// revocation lists; what those change was tried with chains made by the tests.
package sgx

import (
	"bytes"

	"cipherdeck/attest"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/report"
)

// Type is that of the evidence.
const Type = "sgx"

// MeasurementSize is that of MRENCLAVE, in bytes.
const MeasurementSize = 32

// Verifier checks SGX evidence against Intel's root. Errors wrap report.ErrAsk.
func Verifier() attest.Verifier { return kind().Verifier(dcap.Intel) }

func kind() dcap.Kind {
	return dcap.Kind{Type: Type, Root: attest.RootSGX, Version: 3, BodySize: 384, TCBInfo: "SGX", QEIdentity: "QE",
		Data:        func(b []byte) []byte { return b[dcap.AtReportData:] },
		Measurement: func(b []byte) []byte { return b[dcap.AtMREnclave : dcap.AtMREnclave+MeasurementSize] },
		Debug:       debug,
	}
}

// Bits of an enclave's attributes (Intel SDM volume 3D, "ATTRIBUTES").
const (
	bitInit  = 1 << 0
	bitDebug = 1 << 1
)

// debug reads the attributes of the enclave.
func debug(t *report.Trial, body []byte) (attest.State, string) {
	attr := body[dcap.AtAttributes : dcap.AtAttributes+16]
	t.Show("attributes", attr)
	t.Show("MRSIGNER", body[dcap.AtMRSigner:dcap.AtMRSigner+32])
	switch {
	case attr[0]&bitDebug != 0:
		return attest.Fail, "the enclave was started with DEBUG: the host reads its memory"
	case attr[0]&bitInit == 0:
		return attest.Fail, "the enclave was not initialised"
	case !bytes.Equal(body[atConfig:atConfig+64], make([]byte, 64)):
		return attest.Warn, "no debugger; it was started with a CONFIGID, which its measurement does not cover"
	}
	return attest.Pass, "no debugger"
}

// atConfig is the offset of CONFIGID in a report.
const atConfig = 192

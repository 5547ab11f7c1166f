package sgx

import (
	"bytes"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/dcap/dcaptest"
)

// The real quote is what it says; it came without revocation lists, and without
// them nobody is believed.
func TestRealQuote(t *testing.T) {
	c := dcap.Collateral{TCBInfo: dcaptest.File(t, "sgx/tcb-info.json"), QEIdentity: dcaptest.File(t, "sgx/qe-identity.json"), Signer: dcaptest.File(t, "sgx/tcb-signing.der")}
	raw := dcaptest.File(t, "sgx/quote-v3-pck.bin")
	now := time.Date(2023, 1, 10, 0, 0, 0, 0, time.UTC)
	e, x := dcaptest.Evidence(t, Type, raw, c, now)
	dcaptest.Breaks(t, Verifier(), e, x, attest.LinkChain, "PCK CRL is missing")
	e, x = dcaptest.Evidence(t, Type, dcaptest.File(t, "sgx/quote-v3-ppid.bin"), c, now)
	dcaptest.Breaks(t, Verifier(), e, x, attest.LinkChain, "shows no certificate")
}

func TestMadeQuotes(t *testing.T) {
	debugged := func(b []byte) { b[dcap.AtAttributes] |= bitDebug }
	uninit := func(b []byte) { b[dcap.AtAttributes] = 0 }
	dcaptest.Run(t, dcaptest.Suite{
		Version: 3, Body: dcaptest.SGX, Verifier: kind().Verifier, Measurement: bytes.Repeat([]byte{1}, 32),
		Rows: []dcaptest.Row{
			{Name: "78 debug", Body: debugged, Link: attest.LinkDebug, Text: "DEBUG"},
			{Name: "not initialised", Body: uninit, Link: attest.LinkDebug, Text: "not initialised"},
			{Name: "a quote of TDX's version", Maker: func(m *dcaptest.Maker) { m.Version = 4 }, Link: attest.LinkChain, Text: "version 4, want 3"},
		}})
}

// The host chooses it, and the measurement does not cover it.
func TestConfigID(t *testing.T) {
	dcaptest.Warns(t, dcaptest.Suite{Version: 3, Body: dcaptest.SGX, Verifier: kind().Verifier, Measurement: bytes.Repeat([]byte{1}, 32)},
		func(b []byte) { b[atConfig] = 1 }, attest.LinkDebug, "CONFIGID")
}

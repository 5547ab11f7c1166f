package tdx

import (
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/dcap/dcaptest"
)

// The real quote is what it says; Intel's list of its month knows no state that
// its processor, a sample before sale, reached.
func TestRealQuote(t *testing.T) {
	c := dcap.Collateral{TCBInfo: dcaptest.File(t, "tdx/tcb-info.json"), QEIdentity: dcaptest.File(t, "tdx/qe-identity.json"), Signer: dcaptest.File(t, "tdx/tcb-signing.der"),
		PCKCRL: dcaptest.File(t, "tdx/pck.crl"), RootCRL: dcaptest.File(t, "tdx/root.crl")}
	raw := dcaptest.File(t, "tdx/quote-v4.bin")
	now := time.Date(2023, 7, 1, 1, 0, 0, 0, time.UTC)
	e, x := dcaptest.Evidence(t, Type, raw, c, now)
	v := dcaptest.Breaks(t, Verifier(), e, x, attest.LinkNonce, "")
	for _, id := range []string{attest.LinkChain, attest.LinkRoot, attest.LinkReport} {
		if l := v.Link(id); l == nil || l.State != attest.Pass {
			t.Errorf("%s: %v", id, l.Found)
		}
	}
	e.Collateral = nil
	dcaptest.Breaks(t, Verifier(), e, x, attest.LinkChain, "none was given") // case 76
	e, x = dcaptest.Evidence(t, Type, append(raw, "\nextra"...), c, now)
	dcaptest.Breaks(t, Verifier(), e, x, attest.LinkChain, "follow")
	e, x = dcaptest.Evidence(t, Type, raw, c, now.AddDate(1, 0, 0))
	dcaptest.Breaks(t, Verifier(), e, x, attest.LinkChain, "ended")
}

func TestMadeQuotes(t *testing.T) {
	set := func(at int, bit byte) func([]byte) { return func(b []byte) { b[at] |= bit } }
	dcaptest.Run(t, dcaptest.Suite{
		Version: 4, Body: dcaptest.TDX, Verifier: kind().Verifier, Measurement: Measurement(dcaptest.TDX(nil)),
		Rows: []dcaptest.Row{
			{Name: "debug", Body: set(atAttributes, 1), Link: attest.LinkDebug, Text: "debugging"},
			{Name: "migratable", Body: set(atAttributes+3, bitMigrate), Link: attest.LinkDebug, Text: "migrated"},
			{Name: "version 5", Maker: func(m *dcaptest.Maker) { m.Version = 5 }, Link: attest.LinkChain, Text: "version 5, want 4"},
			{Name: "module of another signer", Body: set(64, 1), Link: attest.LinkTCB, Text: "not by Intel"},
			{Name: "module with attributes", Body: set(112, 1), Link: attest.LinkTCB, Text: "attributes"},
			{Name: "old module", Body: func(b []byte) { b[0] = 3 }, Link: attest.LinkTCB, Text: "TDX module: Intel says OutOfDate"},
			{Name: "older than every module", Body: func(b []byte) { b[0] = 1 }, Link: attest.LinkTCB, Text: "older than every level"},
			{Name: "unknown module", Body: func(b []byte) { b[1] = 9 }, Link: attest.LinkTCB, Text: "no module TDX_09"},
			{Name: "old parts of the TDX module's own", Body: func(b []byte) { b[7] = 4 }, Link: attest.LinkTCB, Text: "processor: Intel says OutOfDate"},
			{Name: "other registers", Body: set(atMRTD+48*7, 1), Link: attest.LinkMeasure, Text: ""},
		}})
}

func TestSEPT(t *testing.T) {
	dcaptest.Warns(t, dcaptest.Suite{Version: 4, Body: dcaptest.TDX, Verifier: kind().Verifier, Measurement: Measurement(dcaptest.TDX(nil))},
		func(b []byte) { b[atAttributes+3] = 0 }, attest.LinkDebug, "SEPT_VE_DISABLE")
}

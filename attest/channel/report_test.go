package channel

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/dcap/dcaptest"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/doc"
)

// Evidence of another kind goes the same way and ends in the same verdict: the
// binding is compared, the links are those of its kind. A quote of a root that is
// not Intel's is refused there.
func TestTranscriptOfAReport(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	signer := newSigner(t)
	man, err := manifest.Sign(attest.Manifest{V: 2, Product: product, Version: 1, NotAfter: 1 << 40, Baselines: []attest.Baseline{{Name: "enclave", Reports: [][]byte{bytes.Repeat([]byte{1}, 32)}}}}, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, challenge, err := Ask(bytes.NewReader(bytes.Repeat([]byte{9}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	tr := &Transcript{V: transcriptVersion, Subject: "enclave", At: now.Unix(), EKM: make([]byte, exporterSize), Challenge: challenge}
	e := attest.Evidence{V: 2, Type: "sgx", Manifest: man}
	bind := tr.bind(c, e)
	m := dcaptest.New(t, now)
	body := dcaptest.SGX(func(b []byte) { copy(b[dcap.AtReportData:], bind[:]) })
	e.Quote = m.Quote(t, body)
	if e.Collateral, err = m.Collateral(t, body, nil, nil).Encode(); err != nil {
		t.Fatal(err)
	}
	if tr.Evidence, err = doc.Encode(e); err != nil {
		t.Fatal(err)
	}
	policy := attest.Policy{Product: product, Signers: [][]byte{signer.Public().(ed25519.PublicKey)}, Threshold: 1, MinRoot: attest.RootSNP, Enrol: true}
	v, err := tr.conclude(t.Context(), policy, now, nil)
	brokenAt(t, v, err, attest.LinkChain)
	if v.Type != "sgx" {
		t.Errorf("verdict of type %s", v.Type)
	}
	e.Quote, e.Collateral = nil, nil
	if e.Quote, err = os.ReadFile("../snp/testdata/milan-report.bin"); err != nil {
		t.Fatal(err)
	}
	e.Type = "snp"
	if tr.Evidence, err = doc.Encode(e); err != nil {
		t.Fatal(err)
	}
	v, err = tr.conclude(t.Context(), policy, now, nil)
	brokenAt(t, v, err, attest.LinkChain)
	e.Type = "cca"
	if tr.Evidence, err = doc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if v, err := tr.conclude(t.Context(), policy, now, nil); err == nil || v != nil {
		t.Errorf("an unknown kind: %v, %v", v, err)
	}
}

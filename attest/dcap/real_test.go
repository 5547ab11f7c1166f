package dcap

import (
	"errors"
	"os"
	"testing"
	"time"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// real is a real quote and its collateral, verified but for revocation.
func real(t *testing.T, dir, quote string, k Kind, now time.Time) *reading {
	t.Helper()
	r := &reading{kind: k}
	var err error
	if r.quoted, err = (shape{k.Version, k.TEE, k.BodySize}).parse(file(t, dir+quote)); err != nil {
		t.Fatal(err)
	}
	if r.chain, err = verifyChain(r.quoted.chain, Intel, now); err != nil {
		t.Fatal(err)
	}
	if err := r.quoted.verify(r.chain.key); err != nil {
		t.Fatal(err)
	}
	_, key, err := verifySigner(file(t, dir+"tcb-signing.der"), r.chain.root, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := document(what{"tcbInfo", k.TCBInfo, 3}, file(t, dir+"tcb-info.json"), key, now, &r.info, (*tcbInfo).head); err != nil {
		t.Fatal(err)
	}
	if err := document(what{"enclaveIdentity", k.QEIdentity, 2}, file(t, dir+"qe-identity.json"), key, now, &r.qe, (*qeIdentity).head); err != nil {
		t.Fatal(err)
	}
	return r
}

// A real SGX quote: Intel's root certifies its processor, and Intel says that its
// firmware is up to date while programs must do their part.
func TestRealSGX(t *testing.T) {
	r := real(t, "sgx/", "quote-v3-pck.bin", Kind{Version: 3, BodySize: 384, TCBInfo: "SGX", QEIdentity: "QE"}, time.Date(2023, 1, 10, 0, 0, 0, 0, time.UTC))
	parts, err := r.parts()
	if err != nil {
		t.Fatal(err)
	}
	state, text := judged(parts)
	t.Logf("%v: %s; %+v", state, text, parts)
	if parts["processor"].Status == "" || parts["quoting enclave"].Status == "" {
		t.Errorf("%+v", parts)
	}
}

// A real TDX quote, of a sample whose module has versions that Intel's list of
// its month does not know.
func TestRealTDX(t *testing.T) {
	r := real(t, "tdx/", "quote-v4.bin", Kind{Version: 4, TEE: 0x81, BodySize: 584, TCBInfo: "TDX", QEIdentity: "TD_QE"}, time.Date(2023, 7, 1, 1, 0, 0, 0, time.UTC))
	parts, err := r.parts()
	t.Logf("%+v, %v", parts, err)
	if !errors.Is(err, ErrCollateral) {
		t.Errorf("%v", err)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add(file(f, "sgx/quote-v3-pck.bin"))
	f.Add(file(f, "sgx/quote-v3-ppid.bin"))
	f.Add(file(f, "tdx/quote-v4.bin"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, s := range []shape{{3, 0, 384}, {4, 0x81, 584}} {
			q, err := s.parse(raw)
			if err != nil {
				if !errors.Is(err, ErrQuote) {
					t.Fatal(err)
				}
				continue
			}
			if len(q.Body) != s.body || len(q.chain) != 3 {
				t.Fatalf("%d bytes, %d certificates", len(q.Body), len(q.chain))
			}
			if _, err := verifyChain(q.chain, Intel, time.Unix(1673300000, 0)); err != nil && !errors.Is(err, ErrChain) {
				t.Fatal(err)
			}
		}
	})
}

func FuzzCollateral(f *testing.F) {
	c := Collateral{TCBInfo: file(f, "sgx/tcb-info.json"), QEIdentity: file(f, "sgx/qe-identity.json"), Signer: file(f, "sgx/tcb-signing.der"), PCKCRL: file(f, "tdx/pck.crl"), RootCRL: file(f, "tdx/root.crl")}
	raw, err := c.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := parseCollateral(raw); err != nil && !errors.Is(err, ErrCollateral) {
			t.Fatal(err)
		}
	})
}

package dcap

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/report"
)

// Kind is one kind of quote.
type Kind struct {
	Type     string
	Root     attest.RootKind
	Version  uint16
	TEE      uint32
	BodySize int

	TCBInfo    string // id of its TCB info: "SGX", "TDX"
	QEIdentity string // id of its QE identity: "QE", "TD_QE"

	// Data and Measurement read a body.
	Data        func(body []byte) []byte
	Measurement func(body []byte) []byte
	// Debug refuses an environment that is open to somebody else.
	Debug func(t *report.Trial, body []byte) (attest.State, string)
	// Again has another reader verify the quote; nil: none does. root is DER.
	Again func(raw, root []byte, now time.Time) error
}

// Verifier judges quotes of this kind against a pinned root.
func (k Kind) Verifier(pin Pin) attest.Verifier { return verifier{k, pin} }

type verifier struct {
	kind Kind
	pin  Pin
}

// Type is that of the kind.
func (v verifier) Type() string { return v.kind.Type }

// Verify judges e; errors wrap report.ErrAsk.
func (v verifier) Verify(ctx context.Context, e attest.Evidence, x attest.Expect) (*attest.Verdict, error) {
	return v.kind.checks(v.pin).Verify(ctx, e, x)
}

// checks is how one quote of this kind is read.
func (k Kind) checks(pin Pin) report.Checks {
	r := &reading{kind: k, pin: pin}
	return report.Checks{Type: k.Type, Root: k.Root, Collateral: true, Chain: r.certified, Report: r.quote, Debug: r.debug, TCB: r.tcb}
}

// reading is one quote under way.
type reading struct {
	kind   Kind
	pin    Pin
	quoted *Quote
	chain  *chain
	info   tcbInfo
	qe     qeIdentity
	bad    error // of the collateral
}

// certified verifies the chain and looks up whether anything on it was revoked.
func (r *reading) certified(t *report.Trial) (err error) {
	if len(t.E.EKChain) > 0 {
		return fmt.Errorf("%w: the chain of a quote is inside it, field ek_chain must be empty", ErrChain)
	}
	if r.quoted, err = (shape{r.kind.Version, r.kind.TEE, r.kind.BodySize}).parse(t.E.Quote); err != nil {
		return err
	}
	now := t.X.Now
	if r.chain, err = verifyChain(r.quoted.chain, r.pin, now); err != nil {
		return err
	}
	for _, c := range r.quoted.chain {
		t.Show("certificate", c)
	}
	c, err := parseCollateral(t.E.Collateral)
	if err != nil {
		return fmt.Errorf("%w: revocation cannot be looked up: %w", ErrChain, err)
	}
	signer, key, err := verifySigner(c.Signer, r.chain.root, now)
	if err != nil {
		return err
	}
	end, err := r.chain.revoked(c, signer, now)
	if err != nil {
		return err
	}
	// What Intel says of the firmware is told at its own link, after the manifest.
	if r.bad = document(what{"tcbInfo", r.kind.TCBInfo, 3}, c.TCBInfo, key, now, &r.info, (*tcbInfo).head); r.bad == nil {
		r.bad = document(what{"enclaveIdentity", r.kind.QEIdentity, 2}, c.QEIdentity, key, now, &r.qe, (*qeIdentity).head)
	}
	t.Maker, t.SPKI, t.Ends = "Intel", r.chain.pck.RawSubjectPublicKeyInfo, r.chain.ends()
	t.Until(end)
	t.Until(signer.NotAfter)
	for _, c := range []*x509.Certificate{r.chain.pck, r.chain.ca, r.chain.root, signer} {
		t.Serials = append(t.Serials, fmt.Sprintf("%x", c.SerialNumber))
	}
	return nil
}

// quote verifies the signatures, down to the report.
func (r *reading) quote(t *report.Trial) error {
	if err := r.quoted.verify(r.chain.key); err != nil {
		return err
	}
	if r.kind.Again != nil {
		if err := r.kind.Again(t.E.Quote, r.chain.root.Raw, t.X.Now); err != nil {
			return fmt.Errorf("%w: %s", ErrQuote, safe(err))
		}
	}
	t.Data, t.Measurement = r.kind.Data(r.quoted.Body), r.kind.Measurement(r.quoted.Body)
	return nil
}

func (r *reading) debug(t *report.Trial) (attest.State, string) {
	return r.kind.Debug(t, r.quoted.Body)
}

// tcb holds what Intel says against the floors of the manifest and the firmware
// against what Intel says.
func (r *reading) tcb(t *report.Trial, floors []attest.Floor) (attest.State, string) {
	if r.bad != nil {
		return attest.Fail, r.bad.Error()
	}
	parts, err := r.parts()
	if err != nil {
		return attest.Fail, err.Error()
	}
	least := min(r.info.Number, r.qe.Number)
	for _, f := range floors {
		if least < f.TCB {
			return attest.Fail, fmt.Sprintf("collateral of evaluation %d, the manifest's floor is %d", least, f.TCB)
		}
	}
	t.Until(r.info.NextUpdate)
	t.Until(r.qe.NextUpdate)
	state, text := judged(parts)
	if state != attest.Fail {
		text += fmt.Sprintf("; evaluation %d", least)
	}
	if state == attest.Pass && len(floors) == 0 {
		return attest.Warn, text + "; the manifest has no floor for it"
	}
	return state, text
}

// parts is what Intel says of each part. Errors wrap ErrCollateral.
func (r *reading) parts() (map[string]Verdict, error) {
	x := r.chain.ext
	switch {
	case string(r.info.FMSPC) != string(x.fmspc[:]) || string(r.info.PCEID) != string(x.pceID[:]):
		return nil, fmt.Errorf("%w: the TCB info is for processors %x, this is one of %x", ErrCollateral, r.info.FMSPC, x.fmspc)
	case r.info.TCBType != 0:
		return nil, fmt.Errorf("%w: TCB info of type %d, want 0", ErrCollateral, r.info.TCBType)
	}
	out := map[string]Verdict{}
	var tee []byte
	var err error
	if r.kind.TEE != 0 {
		tee = r.quoted.Body[atTeeTCB : atTeeTCB+16]
		if out["TDX module"], err = r.info.module(r.quoted.Body); err != nil {
			return nil, err
		}
	}
	if out["processor"], err = r.info.platform(x, tee); err != nil {
		return nil, err
	}
	out["quoting enclave"], err = r.qe.enclave(r.quoted.qe)
	return out, err
}

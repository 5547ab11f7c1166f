package tpm2

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/links"
)

func (t *trial) signature() (attest.State, string) {
	if len(t.E.Collateral) > 0 {
		return links.Fail("field collateral is of TDX and SGX: evidence of type %s has none", Type)
	}
	t.Show("quote", t.E.Quote)
	t.Show("signature", t.E.Signature)
	q, err := ParseQuote(t.E.Quote)
	if err != nil {
		return links.Fail("%v", err)
	}
	sig, err := ParseSignature(t.E.Signature)
	if err != nil {
		return links.Fail("%v", err)
	}
	if err := checkSigned(t.key, q, t.E.Quote, sig); err != nil {
		return links.Fail("%v", err)
	}
	t.quoted, t.V.Boot = q, q.Boot
	return links.Pass("signed by AK %s", attest.Short(t.key.Name))
}

func (t *trial) binding() (attest.State, string) {
	t.Show("expected", t.X.Bind)
	t.Show("in the quote", t.quoted.Bind)
	if subtle.ConstantTimeCompare(t.quoted.Bind, t.X.Bind) != 1 {
		return links.Fail("binding mismatch: expected %s, got %s", attest.Short(t.X.Bind), attest.Short(t.quoted.Bind))
	}
	return links.Pass("binding %s", attest.Short(t.X.Bind))
}

func (t *trial) pcrs() (attest.State, string) {
	t.Show("digest in the quote", t.quoted.Digest)
	if err := checkValues(t.quoted, t.bank, t.pcrSet, t.E.PCRs); err != nil {
		return links.Fail("%v", err)
	}
	return links.Pass("%d PCRs, digest %s", len(t.pcrSet), attest.Short(t.quoted.Digest))
}

// clock holds the TPM's own past against the last good verdict. A reboot is no
// fault, but it is never silent; a clock that went back within one reset is.
func (t *trial) clock() (attest.State, string) {
	now := t.quoted.Boot
	here := fmt.Sprintf("reset %d, restart %d, firmware %x", now.ResetCount, now.RestartCount, now.Firmware)
	last := t.X.Policy.Last
	switch {
	case last == nil && !now.Safe:
		return links.Warn("first verdict; the TPM says its clock may have gone back; %s", here)
	case last == nil:
		return links.Pass("first verdict; %s", here)
	case now.ResetCount < last.ResetCount:
		return links.Fail("reset count went back: was %d, now %d", last.ResetCount, now.ResetCount)
	case now.ResetCount == last.ResetCount && now.RestartCount < last.RestartCount:
		return links.Fail("restart count went back: was %d, now %d", last.RestartCount, now.RestartCount)
	case now.ResetCount == last.ResetCount && now.Clock < last.Clock:
		return links.Fail("clock went back without a reset: was %d ms, now %d ms", last.Clock, now.Clock)
	case now.Firmware != last.Firmware:
		return links.Warn("TPM firmware changed: was %x, now %x", last.Firmware, now.Firmware)
	case now.ResetCount != last.ResetCount:
		return links.Warn("rebooted since the last verdict: reset count was %d, now %d", last.ResetCount, now.ResetCount)
	case now.RestartCount != last.RestartCount:
		return links.Warn("suspended since the last verdict: restart count was %d, now %d", last.RestartCount, now.RestartCount)
	case !now.Safe:
		return links.Warn("the TPM says its clock may have gone back; %s", here)
	}
	return links.Pass("no reboot since the last verdict; %s", here)
}

// jobKey asks whether the key that jobs are sealed to is of this TPM, in this
// state.
func (t *trial) jobKey() (attest.State, string) {
	if len(t.E.KeyPublic) == 0 && len(t.E.KeyCertify) == 0 && len(t.E.KeySig) == 0 {
		switch sum := sha256.Sum256(t.E.JobKey); {
		case len(t.E.JobKey) == 0:
			return links.Unchecked("the machine has no key for sealed jobs")
		case !bytes.Equal(t.V.Measured["job-key"], sum[:]):
			return links.Fail("%v: it is neither certified by the TPM nor measured", ErrJobKey)
		}
		return links.Unchecked("the job key is measured, and not certified by the TPM")
	}
	t.Show("job key", t.E.KeyPublic)
	t.Show("certification", t.E.KeyCertify)
	bind := CertifyBind()
	k, err := CheckCertified(t.key, t.E.KeyPublic, t.E.KeyCertify, t.E.KeySig, bind[:], t.bank, t.E.PCRs)
	if err != nil {
		return links.Fail("%v", err)
	}
	if !bytes.Equal(k.Point, t.E.JobKey) {
		return links.Fail("%v: the job key given is another one", ErrJobKey)
	}
	if k.Boot.ResetCount != t.quoted.Boot.ResetCount {
		return links.Fail("%v: it was certified at reset %d, this is reset %d: it is gone", ErrJobKey, k.Boot.ResetCount, t.quoted.Boot.ResetCount)
	}
	return links.Pass("key %s, usable in this state only", attest.Short(k.Name))
}

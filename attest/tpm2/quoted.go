package tpm2

import (
	"bytes"
	"crypto/subtle"
	"fmt"

	"cipherdeck/attest"
)

func (t *trial) signature() (attest.State, string) {
	t.show("quote", t.e.Quote)
	t.show("signature", t.e.Signature)
	q, err := ParseQuote(t.e.Quote)
	if err != nil {
		return fail("%v", err)
	}
	sig, err := ParseSignature(t.e.Signature)
	if err != nil {
		return fail("%v", err)
	}
	if err := checkSigned(t.key, q, t.e.Quote, sig); err != nil {
		return fail("%v", err)
	}
	t.quoted, t.v.Boot = q, q.Boot
	return pass("signed by AK %s", attest.Short(t.key.Name))
}

func (t *trial) binding() (attest.State, string) {
	t.show("expected", t.x.Bind)
	t.show("in the quote", t.quoted.Bind)
	if subtle.ConstantTimeCompare(t.quoted.Bind, t.x.Bind) != 1 {
		return fail("binding mismatch: expected %s, got %s", attest.Short(t.x.Bind), attest.Short(t.quoted.Bind))
	}
	return pass("binding %s", attest.Short(t.x.Bind))
}

func (t *trial) pcrs() (attest.State, string) {
	t.show("digest in the quote", t.quoted.Digest)
	if err := checkValues(t.quoted, t.bank, t.pcrSet, t.e.PCRs); err != nil {
		return fail("%v", err)
	}
	return pass("%d PCRs, digest %s", len(t.pcrSet), attest.Short(t.quoted.Digest))
}

// clock holds the TPM's own past against the last good verdict. A reboot is no
// fault, but it is never silent; a clock that went back within one reset is.
func (t *trial) clock() (attest.State, string) {
	now := t.quoted.Boot
	here := fmt.Sprintf("reset %d, restart %d, firmware %x", now.ResetCount, now.RestartCount, now.Firmware)
	last := t.x.Policy.Last
	switch {
	case last == nil && !now.Safe:
		return warn("first verdict; the TPM says its clock may have gone back; %s", here)
	case last == nil:
		return pass("first verdict; %s", here)
	case now.ResetCount < last.ResetCount:
		return fail("reset count went back: was %d, now %d", last.ResetCount, now.ResetCount)
	case now.ResetCount == last.ResetCount && now.RestartCount < last.RestartCount:
		return fail("restart count went back: was %d, now %d", last.RestartCount, now.RestartCount)
	case now.ResetCount == last.ResetCount && now.Clock < last.Clock:
		return fail("clock went back without a reset: was %d ms, now %d ms", last.Clock, now.Clock)
	case now.Firmware != last.Firmware:
		return warn("TPM firmware changed: was %x, now %x", last.Firmware, now.Firmware)
	case now.ResetCount != last.ResetCount:
		return warn("rebooted since the last verdict: reset count was %d, now %d", last.ResetCount, now.ResetCount)
	case now.RestartCount != last.RestartCount:
		return warn("suspended since the last verdict: restart count was %d, now %d", last.RestartCount, now.RestartCount)
	case !now.Safe:
		return warn("the TPM says its clock may have gone back; %s", here)
	}
	return pass("no reboot since the last verdict; %s", here)
}

// jobKey asks whether the key that jobs are sealed to is of this TPM, in this
// state.
func (t *trial) jobKey() (attest.State, string) {
	if len(t.e.KeyPublic) == 0 && len(t.e.KeyCertify) == 0 && len(t.e.KeySig) == 0 {
		if len(t.e.JobKey) == 0 {
			return unchecked("the machine has no key for sealed jobs")
		}
		return unchecked("the job key is not certified by the TPM")
	}
	t.show("job key", t.e.KeyPublic)
	t.show("certification", t.e.KeyCertify)
	bind := CertifyBind()
	k, err := CheckCertified(t.key, t.e.KeyPublic, t.e.KeyCertify, t.e.KeySig, bind[:], t.bank, t.e.PCRs)
	if err != nil {
		return fail("%v", err)
	}
	if !bytes.Equal(k.Point, t.e.JobKey) {
		return fail("%v: the job key given is another one", ErrJobKey)
	}
	return pass("key %s, usable in this state only", attest.Short(k.Name))
}

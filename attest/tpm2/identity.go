package tpm2

import (
	"bytes"
	"cmp"
	"errors"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/ek"
	"cipherdeck/crypto/id"
)

// certificate asks who made the TPM.
func (t *trial) certificate() (attest.State, string) {
	if len(t.e.EKChain) == 0 {
		if len(t.e.EK) > 0 && t.ekErr != nil {
			return fail("%v", t.ekErr)
		}
		return unchecked("no certificate was given: nothing vouches for the maker")
	}
	t.show("EK certificate", t.e.EKChain[0])
	t.show("EK public area", t.e.EK)
	made, err := ek.Verify(t.e.EKChain, t.x.Policy.Roots, t.x.Now)
	switch {
	case err != nil:
		return fail("%v", err)
	case len(t.e.EK) == 0 || t.ekErr != nil:
		return fail("%v", cmp.Or(t.ekErr, errors.New("a certificate without its key")))
	case !bytes.Equal(made.Key, t.ekKey.SPKI):
		return fail("%v: the certificate is for another key", ErrEK)
	}
	t.made = made
	t.v.Maker, t.v.EK = made.Maker, t.ekKey.SPKI
	t.until(made.NotAfter)
	if made.Kind <= attest.RootSoftware {
		return attest.Software, "certificate of a software TPM, made by itself: " + made.Maker
	}
	return pass("certified by %s", made.Maker)
}

// root is decided by the certificate's root and never by what the machine says
// of itself: with no certificate it is software.
func (t *trial) root() (attest.State, string) {
	kind := t.made.Kind
	if kind == attest.RootNone {
		kind = attest.RootSoftware
	}
	if t.x.Policy.MinRoot > kind {
		return fail("policy demands %s, got at most %s", t.x.Policy.MinRoot, kind)
	}
	t.v.Root = kind
	if kind == attest.RootSoftware {
		return attest.Software, "a TPM in software: a demonstration"
	}
	return pass("%s of %s", kind, t.made.Maker)
}

// enrolled asks whether AK and EK are in one TPM, and whether both are those
// that this machine had before.
func (t *trial) enrolled() (attest.State, string) {
	if t.keyErr != nil {
		return unchecked("the AK cannot be read")
	}
	t.show("AK name", t.key.Name)
	if len(t.e.EK) > 0 && t.v.EK == nil {
		if t.ekErr != nil {
			return fail("%v", t.ekErr)
		}
		t.v.EK = t.ekKey.SPKI
	}
	t.v.AKName = t.key.Name
	if state, why := t.pinned(); state == attest.Fail {
		return state, why
	}
	e, now := t.x.Enrolled, t.x.Now
	switch {
	case e == nil && len(t.e.EK) == 0:
		return unchecked("the machine shows no endorsement key")
	case e == nil && t.x.Policy.Enrol:
		return fail("no credential was activated for this AK")
	case e == nil:
		return unchecked("no credential was activated")
	case len(t.e.EK) == 0:
		return fail("the AK was enrolled with an endorsement key, and none is shown now")
	case e.EK != id.Of(t.e.EK):
		return fail("enrolled with another endorsement key: %s, now %s", attest.Short(e.EK[:]), attest.Short(idOf(t.e.EK)))
	case !bytes.Equal(e.AKName, t.key.Name):
		return fail("enrolled with another AK: %s, now %s", attest.Short(e.AKName), attest.Short(t.key.Name))
	}
	at := time.Unix(e.At, 0)
	switch {
	case at.After(now.Add(time.Minute)):
		return fail("enrolled in the future, at %s", at.UTC().Format(time.DateOnly))
	case now.Sub(at) > attest.EnrolmentLife:
		return fail("enrolled %s, more than 30 days ago", at.UTC().Format(time.DateOnly))
	}
	t.until(at.Add(attest.EnrolmentLife))
	return pass("credential activated %s", at.UTC().Format("2006-01-02 15:04 UTC"))
}

func idOf(b []byte) []byte {
	i := id.Of(b)
	return i[:]
}

// pinned compares with the identity that was seen first.
func (t *trial) pinned() (attest.State, string) {
	p := t.x.Policy
	if len(p.EK) > 0 && !bytes.Equal(p.EK, t.v.EK) {
		return fail("IDENTITY CHANGED: endorsement key was %s, now %s", attest.Short(idOf(p.EK)), attest.Short(idOf(t.v.EK)))
	}
	if len(p.AKName) > 0 && !bytes.Equal(p.AKName, t.key.Name) {
		return fail("IDENTITY CHANGED: AK was %s, now %s", attest.Short(p.AKName), attest.Short(t.key.Name))
	}
	return attest.Pass, ""
}

func (t *trial) ak() (attest.State, string) {
	t.show("AK public area", t.e.AK)
	if t.keyErr != nil {
		return fail("%v", t.keyErr)
	}
	return pass("AK name %s", attest.Short(t.key.Name))
}

package tpm2

import (
	"bytes"
	"cmp"
	"errors"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/ek"
	"cipherdeck/attest/links"
	"cipherdeck/crypto/id"
)

// certificate asks who made the TPM.
func (t *trial) certificate() (attest.State, string) {
	if len(t.E.EKChain) == 0 {
		if len(t.E.EK) > 0 && t.ekErr != nil {
			return links.Fail("%v", t.ekErr)
		}
		return links.Unchecked("no certificate was given: nothing vouches for the maker")
	}
	t.Show("EK certificate", t.E.EKChain[0])
	t.Show("EK public area", t.E.EK)
	made, err := ek.Verify(t.E.EKChain, t.X.Policy.Roots, t.X.Now)
	switch {
	case err != nil:
		return links.Fail("%v", err)
	case len(t.E.EK) == 0 || t.ekErr != nil:
		return links.Fail("%v", cmp.Or(t.ekErr, errors.New("a certificate without its key")))
	case !bytes.Equal(made.Key, t.ekKey.SPKI):
		return links.Fail("%v: the certificate is for another key", ErrEK)
	}
	t.made = made
	t.V.Maker, t.V.EK = made.Maker, t.ekKey.SPKI
	t.Until(made.NotAfter)
	if made.Kind <= attest.RootSoftware {
		return attest.Software, "certificate of a software TPM, by " + made.Maker
	}
	return links.Pass("certified by %s", made.Maker)
}

// root is decided by the certificate's root and never by what the machine says
// of itself: with no certificate it is software.
func (t *trial) root() (attest.State, string) {
	kind := t.made.Kind
	if kind == attest.RootNone {
		kind = attest.RootSoftware
	}
	if t.X.Policy.MinRoot > kind {
		return links.Fail("policy demands %s, got at most %s", t.X.Policy.MinRoot, kind)
	}
	t.V.Root = kind
	if kind == attest.RootSoftware {
		return attest.Software, "a TPM in software: a demonstration"
	}
	return links.Pass("%s of %s", kind, t.made.Maker)
}

// enrolled asks whether AK and EK are in one TPM, and whether both are those
// that this machine had before.
func (t *trial) enrolled() (attest.State, string) {
	if t.keyErr != nil {
		return links.Unchecked("the AK cannot be read")
	}
	t.Show("AK name", t.key.Name)
	if len(t.E.EK) > 0 && t.V.EK == nil {
		if t.ekErr != nil {
			return links.Fail("%v", t.ekErr)
		}
		t.V.EK = t.ekKey.SPKI
	}
	t.V.AKName = t.key.Name
	if state, why := t.pinned(); state == attest.Fail {
		return state, why
	}
	e, now := t.X.Enrolled, t.X.Now
	switch {
	case e == nil && len(t.E.EK) == 0:
		return links.Unchecked("the machine shows no endorsement key")
	case e == nil && t.X.Policy.Enrol:
		return links.Fail("no credential was activated for this AK")
	case e == nil:
		return links.Unchecked("no credential was activated")
	case len(t.E.EK) == 0:
		return links.Fail("the AK was enrolled with an endorsement key, and none is shown now")
	case e.EK != id.Of(t.E.EK):
		return links.Fail("enrolled with another endorsement key: %s, now %s", attest.Short(e.EK[:]), attest.Short(idOf(t.E.EK)))
	case !bytes.Equal(e.AKName, t.key.Name):
		return links.Fail("enrolled with another AK: %s, now %s", attest.Short(e.AKName), attest.Short(t.key.Name))
	}
	at := time.Unix(e.At, 0)
	switch {
	case at.After(now.Add(time.Minute)):
		return links.Fail("enrolled in the future, at %s", at.UTC().Format(time.DateOnly))
	case now.Sub(at) > attest.EnrolmentLife:
		return links.Fail("enrolled %s, more than 30 days ago", at.UTC().Format(time.DateOnly))
	}
	t.Until(at.Add(attest.EnrolmentLife))
	return links.Pass("credential activated %s", at.UTC().Format("2006-01-02 15:04 UTC"))
}

func idOf(b []byte) []byte {
	i := id.Of(b)
	return i[:]
}

// pinned compares with the identity that was seen first.
func (t *trial) pinned() (attest.State, string) {
	p := t.X.Policy
	if len(p.EK) > 0 && !bytes.Equal(p.EK, t.V.EK) {
		return links.Fail("IDENTITY CHANGED: endorsement key was %s, now %s", attest.Short(idOf(p.EK)), attest.Short(idOf(t.V.EK)))
	}
	if len(p.AKName) > 0 && !bytes.Equal(p.AKName, t.key.Name) {
		return links.Fail("IDENTITY CHANGED: AK was %s, now %s", attest.Short(p.AKName), attest.Short(t.key.Name))
	}
	return attest.Pass, ""
}

func (t *trial) ak() (attest.State, string) {
	t.Show("AK public area", t.E.AK)
	if t.keyErr != nil {
		return links.Fail("%v", t.keyErr)
	}
	return links.Pass("AK name %s", attest.Short(t.key.Name))
}

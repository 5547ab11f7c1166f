package channel

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	gotpm "github.com/google/go-tpm/tpm2"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/grant"
	"cipherdeck/attest/softtpm"
)

// TestNodeShowsItsKey: the key that a node made after its log was closed is in its
// verdict, certified for the state that is quoted; without that it is not taken.
func TestNodeShowsItsKey(t *testing.T) {
	n := newNode(t, 1, "node a", "honest", newSigner(t))
	m := &n.r.m
	k, err := grant.NewKey(m.TPM, m.AK, attest.SHA256, PCRs())
	if err != nil {
		t.Fatal(err)
	}
	certified := &Certified{}
	certified.Public, certified.Attest, certified.Signature = k.Certified()
	m.JobKey, m.Key = k.Point, certified
	ask := func() (*attest.Verdict, error) {
		v, _, err := AskNode(t.Context(), n.Answer, n.name, n.policy, "node a", judgedAt())
		return v, err
	}
	v, err := ask()
	if err != nil || !bytes.Equal(JobKeyOf(v), k.Point) {
		t.Fatalf("%v, %+v", err, v)
	}
	refused := func(what, says string) {
		t.Helper()
		v, err := ask()
		if !errors.Is(err, attest.ErrRefused) || v.Broken().ID != attest.LinkJobKey || !strings.Contains(v.Broken().Found, says) || JobKeyOf(v) != nil {
			t.Errorf("%s: %v, %+v", what, err, v.Broken())
		}
	}
	m.Key = nil
	refused("not certified", "neither certified")
	other := newNode(t, 2, "node b", "honest", newSigner(t)).r.m
	o, err := grant.NewKey(other.TPM, other.AK, attest.SHA256, PCRs())
	if err != nil {
		t.Fatal(err)
	}
	m.Key, m.JobKey = &Certified{}, o.Point
	m.Key.Public, m.Key.Attest, m.Key.Signature = o.Certified()
	refused("of another machine", "another state")
	m.JobKey, m.Key = k.Point, certified
	_, err = gotpm.PCRExtend{ // a register that no baseline demands
		PCRHandle: gotpm.AuthHandle{Handle: 12, Auth: gotpm.PasswordAuth(nil)},
		Digests:   gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(m.TPM)
	if err != nil {
		t.Fatal(err)
	}
	refused("changed since", "another state")
}

// TestKeyOfAnEarlierStart: a certification outlives a restart, as any bytes do, and
// the key that it is about does not; the TPM says in which start it made it.
func TestKeyOfAnEarlierStart(t *testing.T) {
	n := newNode(t, 1, "node a", "honest", newSigner(t))
	m := &n.r.m
	log, err := eventlog.Parse(m.Log)
	if err != nil {
		t.Fatal(err)
	}
	// The same machine in the same state, a start before.
	before := newMachine(t, newDevice(t, softtpm.Config{Seed: [32]byte{1}}))
	b, err := eventlog.NewBuilder(before.TPM)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range log[:len(log)-1] {
		if err := b.Add(e.Name, e.Digest, e.Text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := grant.NewKey(before.TPM, before.AK, attest.SHA256, PCRs())
	if err != nil {
		t.Fatal(err)
	}
	m.JobKey, m.Key = old.Point, &Certified{}
	m.Key.Public, m.Key.Attest, m.Key.Signature = old.Certified()
	v, _, err := AskNode(t.Context(), n.Answer, n.name, n.policy, "node a", judgedAt())
	if !errors.Is(err, attest.ErrRefused) || v.Broken().ID != attest.LinkJobKey || !strings.Contains(v.Broken().Found, "certified at reset 1, this is reset 2") {
		t.Errorf("%v, %+v", err, v.Broken())
	}
}

package server_test

import (
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
)

// A device that was added logs in; when it is revoked its login ends at once,
// and no link of its is taken though the project does not know yet.
func TestDevicesOverHTTPS(t *testing.T) {
	s := start(t)
	other := rt.Person(t, "laptop") // only its keys are used
	req, err := chain.NewRequest(s.owner.UID, "laptop", other.Signer(), other.XWing)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.owner.AddDevice(s.owner.Author(), req, 2)
	if err != nil {
		t.Fatal(err)
	}
	laptop := s.owner
	laptop.Account, laptop.Key, laptop.PQ = two, other.Key, other.PQ
	c := rt.Client(t, s.srv, laptop)
	_, err = c.Projects(t.Context())
	wantErr(t, "a device that is not added", err, api.ErrUnauthorized)
	if err := s.client.PutAccountLink(t.Context(), two.UID, two.Links[1]); err != nil {
		t.Fatal(err)
	}
	if err := s.client.PutAccountLink(t.Context(), two.UID, two.Links[1]); err != nil {
		t.Fatalf("again: %v", err)
	}
	if _, err := c.Projects(t.Context()); err != nil {
		t.Fatalf("an added device: %v", err)
	}
	got, err := c.Account(t.Context(), two.UID)
	if err != nil || got.Head != two.Head {
		t.Fatalf("%v", err)
	}
	raw, _, err := s.p.State.Extend(chain.KindPut, chain.PutBody{Index: id.Of(nil)}, two, laptop.Signer(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := laptop.Signer().ID()
	three, err := two.RevokeDevice(s.owner.Author(), kid, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.PutAccountLink(t.Context(), two.UID, three.Links[2]); err != nil {
		t.Fatal(err)
	}
	_, err = c.Projects(t.Context())
	wantErr(t, "a revoked device", err, api.ErrUnauthorized)
	// The revoked device gets another one to hand its link in.
	s.p.Put(t, raw)
	_, rev, err := s.p.Head(t.Context(), api.HeadKey)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.p.CAS(t.Context(), api.HeadKey, raw, rev)
	wantErr(t, "a link of a revoked device", err, api.ErrForbidden)
	wantErr(t, "another link in its place", s.client.PutAccountLink(t.Context(), two.UID, s.owner.Links[0][:0]), api.ErrInvalid)
}

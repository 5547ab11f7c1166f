package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// laptop adds a device to the owner's account and gives the owner as he is on it.
func (s *setup) laptop(t *testing.T) rt.Who {
	t.Helper()
	other := rt.Person(t, "laptop") // only its keys are used
	req, err := chain.NewRequest(s.owner.UID, "laptop", other.Signer(), other.XWing)
	if err != nil {
		t.Fatal(err)
	}
	w := s.owner
	if w.Account, err = s.owner.AddDevice(s.owner.Author(), req, 2); err != nil {
		t.Fatal(err)
	}
	if err := s.client.PutAccountLink(t.Context(), w.UID, w.Links[len(w.Links)-1]); err != nil {
		t.Fatal(err)
	}
	w.Key, w.PQ = other.Key, other.PQ
	return w
}

// revoke ends the device of w, which laptop made.
func (s *setup) revoke(t *testing.T, w rt.Who) {
	t.Helper()
	kid, err := w.Signer().ID()
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.RevokeDevice(s.owner.Author(), kid, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.PutAccountLink(t.Context(), w.UID, a.Links[len(a.Links)-1]); err != nil {
		t.Fatal(err)
	}
}

// A job that a second device asked for is as good as one of the first, to whoever
// compares store and journal and to whoever builds a store again; also when the
// device was revoked since.
func TestJobOfASecondDeviceIsKept(t *testing.T) {
	s := start(t)
	w := s.laptop(t)
	name, _ := s.submitAs(t, rt.Client(t, s.srv, w), w, time.Now().Add(time.Hour))
	s.revoke(t, w)
	rep, err := s.srv.Reconcile(t.Context(), true)
	if err != nil || rep.Restored+rep.Recorded+len(rep.Lost) != 0 {
		t.Errorf("compared: %+v, %v", rep, err)
	}
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.cfg.DataDir, "store")); err != nil {
		t.Fatal(err)
	}
	if rep, err = server.Rebuild(t.Context(), s.cfg, nil); err != nil || len(rep.Lost) != 0 {
		t.Fatalf("built again: %+v, %v", rep, err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	p := rt.Project{Project: rt.Client(t, s.srv, s.owner).Project(s.p.ID())}
	if st := status(t, &p, name, 0, 0); st.ID != name {
		t.Errorf("%+v", st)
	}
}

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

package server_test

import (
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	rt "cipherdeck/remote/remotetest"
)

// TestKeyFollowsItsOwner shows that a key never outlives the right it stands on:
// neither the role of its owner in the signed chain nor its own revocation is
// remembered anywhere.
func TestKeyFollowsItsOwner(t *testing.T) {
	s := start(t)
	w := rt.Person(t, "writer")
	c := rt.Enrolled(t, s.srv, w)
	s.p.Add(t, w, chain.Writer)
	r, err := c.NewKey(t.Context(), api.KeyRequest{Name: "nightly", Scopes: auth.Scopes(), NotAfter: time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	script := rt.Client(t, s.srv, rt.Who{Account: &chain.Account{}}, func(c *api.Config) { c.Bearer = r.Bearer })
	head := func(what string, want error) {
		t.Helper()
		_, _, err := script.Project(s.p.ID()).Head(t.Context(), api.HeadKey)
		wantErr(t, what, err, want)
	}
	head("as a writer", nil)
	if all, err := script.Projects(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("projects: %v, %v", all, err)
	}
	_, err = script.NewKey(t.Context(), api.KeyRequest{Name: "more", Scopes: auth.Scopes(), NotAfter: time.Now().Add(time.Hour).Unix()})
	wantErr(t, "a key that makes keys", err, api.ErrForbidden)
	link, _ := s.p.Sign(t, chain.KindPut, chain.PutBody{Index: id.Of(nil)})
	_, err = script.Project(s.p.ID()).CAS(t.Context(), api.HeadKey, link, s.p.Rev())
	wantErr(t, "a key that moves the head", err, api.ErrForbidden)

	s.p.Do(t, chain.KindRemove, chain.RemoveBody{UID: w.UID, Epoch: chain.Epoch{Number: 2, Prev: []byte("sealed"), Wraps: id.Of([]byte("w2"))}})
	head("after its owner was removed", api.ErrForbidden)
	s.p.Add(t, w, chain.Auditor)
	head("as an auditor", nil)
	_, err = script.Project(s.p.ID()).Jobs(t.Context())
	wantErr(t, "jobs as an auditor", err, api.ErrForbidden)
	wantErr(t, "revoke", c.RevokeKey(t.Context(), r.Key.ID), nil)
	head("after it was revoked", api.ErrUnauthorized)
	wantErr(t, "revoke again", c.RevokeKey(t.Context(), r.Key.ID), api.ErrNotFound)
}

// TestKeyEndsWithItsDevice shows that a thief does not keep what he made with a
// stolen laptop: the key that he had the server make ends with the device, unless
// another device of its owner rotated it since.
func TestKeyEndsWithItsDevice(t *testing.T) {
	s := start(t)
	w := s.laptop(t)
	c := rt.Client(t, s.srv, w)
	ask := api.KeyRequest{Name: "nightly", Scopes: auth.Scopes(), NotAfter: time.Now().Add(time.Hour).Unix()}
	stolen, err := c.NewKey(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := c.NewKey(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	taken, err = s.client.RotateKey(t.Context(), taken.Key.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	head := func(what, bearer string, want error) {
		t.Helper()
		script := rt.Client(t, s.srv, rt.Who{Account: &chain.Account{}}, func(c *api.Config) { c.Bearer = bearer })
		_, _, err := script.Project(s.p.ID()).Head(t.Context(), api.HeadKey)
		wantErr(t, what, err, want)
	}
	head("before", stolen.Bearer, nil)
	s.revoke(t, w)
	head("made by a device that was revoked", stolen.Bearer, api.ErrUnauthorized)
	head("rotated by another device", taken.Bearer, nil)
}

// TestRevokedLogins ends logins from another connection, at once.
func TestRevokedLogins(t *testing.T) {
	s := start(t)
	lost, other := connect(t, s.srv, s.owner), connect(t, s.srv, s.node)
	all, err := s.client.Sessions(t.Context())
	if err != nil || len(all) < 2 {
		t.Fatalf("%d logins, %v", len(all), err)
	}
	device, current := "", 0
	for _, l := range all {
		device = l.Device
		if l.Current {
			current++
		}
		if l.NotAfter <= l.Created || len(l.ID) != 16 {
			t.Errorf("%+v", l)
		}
	}
	if current != 1 {
		t.Errorf("%d logins are this one", current)
	}
	if n, err := s.client.RevokeSessions(t.Context(), "another device"); err != nil || n != 0 {
		t.Errorf("of another device: %d, %v", n, err)
	}
	if got := cell(t, lost, "GET", "/v1/projects"); got != "." {
		t.Errorf("before: %s", got)
	}
	if n, err := s.client.RevokeSessions(t.Context(), device); err != nil || n < len(all) {
		t.Errorf("revoked %d of %d, %v", n, len(all), err)
	}
	if got := cell(t, lost, "GET", "/v1/projects"); got != "u" {
		t.Errorf("a revoked login: %s", got)
	}
	if got := cell(t, other, "GET", "/v1/projects"); got != "." {
		t.Errorf("somebody else's login: %s", got)
	}
	if _, err := s.client.Projects(t.Context()); err != nil { // logs in anew
		t.Error(err)
	}
}

// TestRenewal logs in again on the same connection: a new token by a new
// signature, and the connection goes on.
func TestRenewal(t *testing.T) {
	s := start(t)
	c := connect(t, s.srv, s.owner)
	first := c.token
	if rsp := c.login(t, c, c.nonce(t)); rsp.StatusCode != 200 || c.token == first {
		t.Fatalf("renewal: %s", rsp.Status)
	}
	if got := cell(t, c, "GET", "/v1/projects"); got != "." {
		t.Errorf("renewed: %s", got)
	}
}

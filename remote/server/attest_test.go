package server_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

func TestAttested(t *testing.T) {
	cfg := rt.Config(t.TempDir())
	policy := rt.Manifest(t, cfg)
	srv := rt.Start(t, server.Options{Config: cfg})
	var seen []*attest.Verdict
	c := rt.Enrolled(t, srv, rt.Person(t, "analyst"), func(c *api.Config) {
		c.Policy = policy
		c.OnVerdict = func(v *attest.Verdict, _ *channel.Transcript) { seen = append(seen, v) }
	})
	if _, err := c.Projects(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := c.Attest(t.Context())
	if err != nil || v.Word() != "demo" {
		t.Fatalf("attest: %v, %v", v, err)
	}
	if len(seen) != 3 { // enrolment, the logged-in connection, and the fresh one
		t.Errorf("%d verdicts for 3 connections", len(seen))
	}
	if want, _ := cfg.Digest(); string(v.Measured["config"]) != string(want[:]) {
		t.Errorf("measured config %x, want %x", v.Measured["config"], want)
	}
	if pin := srv.Pin(); string(v.Measured["tls-key"]) != string(pin[:]) {
		t.Errorf("measured tls-key %x, want %x", v.Measured["tls-key"], pin)
	}
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("LOUD: no /proc here, the measure of the program is not compared")
	}
	if want := sha256.Sum256(exe); string(v.Measured["binary"]) != string(want[:]) {
		t.Errorf("measured binary %x, want %x", v.Measured["binary"], want)
	}
}

// TestRefused shows that a server whose evidence is not good gets no byte.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*server.Config, *attest.Policy)
		broken string
	}{
		"another configuration": {func(c *server.Config, _ *attest.Policy) { c.TokenTTLSeconds++ }, attest.LinkEvents},
		"no manifest": {func(c *server.Config, _ *attest.Policy) {
			_ = os.Remove(filepath.Join(c.DataDir, "manifest.bin"))
		}, attest.LinkManifest},
		"another product": {func(_ *server.Config, p *attest.Policy) { p.Product = "other" }, attest.LinkValidity},
		"rolled back":     {func(_ *server.Config, p *attest.Policy) { p.MinVersion = 2 }, attest.LinkValidity},
		"hardware wanted": {func(_ *server.Config, p *attest.Policy) { p.MinRoot = attest.RootHardware }, attest.LinkRoot},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := rt.Config(t.TempDir())
			policy := rt.Manifest(t, cfg)
			c.change(&cfg, policy)
			srv := rt.Start(t, server.Options{Config: cfg})
			var verdict *attest.Verdict
			k := rt.Client(t, srv, rt.Person(t, "analyst"), func(c *api.Config) {
				c.Policy = policy
				c.OnVerdict = func(v *attest.Verdict, _ *channel.Transcript) { verdict = v }
			})
			err := k.Enrol(t.Context())
			var refused *api.RefusedError
			if !errors.Is(err, attest.ErrRefused) || !errors.As(err, &refused) {
				t.Fatalf("enrol: %v", err)
			}
			if refused.PayloadBytes != 0 || refused.Verdict == nil || refused.Verdict != verdict {
				t.Errorf("refused with %d payload bytes, verdict %v", refused.PayloadBytes, refused.Verdict)
			}
			if l := refused.Verdict.Broken(); l == nil || l.ID != c.broken {
				t.Errorf("broken link %+v, want %s", l, c.broken)
			}
			plain := rt.Client(t, srv, rt.Person(t, "node"))
			if _, err := plain.Projects(t.Context()); !errors.Is(err, api.ErrUnauthorized) {
				t.Errorf("pin only: %v", err)
			}
		})
	}
}

func TestWrongPin(t *testing.T) {
	srv := rt.Start(t, server.Options{Config: rt.Config(t.TempDir())})
	c := rt.Client(t, srv, rt.Person(t, "analyst"), func(c *api.Config) { c.Pin[0] ^= 1 })
	err := c.Enrol(t.Context())
	if !errors.Is(err, channel.ErrPin) || errors.Is(err, api.ErrUnreachable) {
		t.Errorf("enrol: %v", err)
	}
	if _, err := c.Attest(t.Context()); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("attest without a policy: %v", err)
	}
}

func TestCodeOfServer(t *testing.T) {
	srv := rt.Start(t, server.Options{Config: rt.Config(t.TempDir())})
	c, err := api.ParseCode(srv.Code())
	if err != nil || c.Addr != srv.Addr() || c.Pin != srv.Pin() {
		t.Errorf("code %s: %+v, %v", srv.Code(), c, err)
	}
}

// TestKeptPrivate looks at what the server keeps of its own.
func TestKeptPrivate(t *testing.T) {
	cfg := rt.Config(t.TempDir())
	srv := rt.Start(t, server.Options{Config: cfg})
	if _, err := server.Start(t.Context(), server.Options{Config: cfg}); err == nil {
		t.Error("a second server started on the same data")
	}
	for _, name := range []string{"tls.key", "softtpm"} {
		info, err := os.Stat(filepath.Join(cfg.DataDir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	_ = srv
}

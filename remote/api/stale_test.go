package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// aged is a client that attests, a project of it, and the clock of both ends.
type aged struct {
	*rt.Project
	ahead    atomic.Int64 // of the machine's clock
	verdicts atomic.Int32
	plain    *api.Project // the same project without attestation
}

func age(t *testing.T) *aged {
	t.Helper()
	cfg := rt.Config(t.TempDir())
	cfg.TokenTTLSeconds = 86400 // only the verdict ends
	policy := rt.Manifest(t, cfg)
	a := &aged{}
	now := func() time.Time { return time.Now().Add(time.Duration(a.ahead.Load())) }
	srv := rt.Start(t, server.Options{Config: cfg, Now: now})
	who := rt.Person(t, "analyst")
	c := rt.Enrolled(t, srv, who, func(c *api.Config) {
		c.Policy, c.Now = policy, now
		c.OnVerdict = func(*attest.Verdict, *channel.Transcript) { a.verdicts.Add(1) }
	})
	a.Project = rt.NewProject(t, c, who)
	a.Project.Now = now
	a.plain = rt.Client(t, srv, who, func(c *api.Config) { c.Now = now }).Project(a.ID())
	return a
}

// TestOldConnection sends requests of every kind on connections that have
// outlived their verdict: each is attested anew, and none is lost.
func TestOldConnection(t *testing.T) {
	a := age(t)
	n := 0
	blob := func(wrap func(io.Reader) io.Reader) error {
		n++
		b := bytes.Repeat(fmt.Appendf(nil, "%d", n), 300<<10)
		return a.PutBlob(t.Context(), id.Of(b), int64(len(b)), wrap(bytes.NewReader(b)))
	}
	for i, send := range []func() error{
		func() error { return blob(func(r io.Reader) io.Reader { return r }) },
		func() error { return blob(func(r io.Reader) io.Reader { return io.MultiReader(r) }) }, // cannot be read twice
		func() error { a.Do(t, chain.KindPut, chain.PutBody{Index: id.Of(nil)}); return nil },  // a CAS besides
		func() error { _, err := a.Have(t.Context(), []id.ID{id.Of(nil)}); return err },
		func() error { _, err := a.Jobs(t.Context()); return err },
	} {
		before := a.verdicts.Load()
		a.ahead.Add(int64(11 * time.Minute))
		if err := send(); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		if a.verdicts.Load() == before {
			t.Errorf("request %d went out on the verdict of 11 minutes before", i)
		}
	}
}

// TestManifestEnds sends after the manifest ended, on a connection that is
// younger than ten minutes.
func TestManifestEnds(t *testing.T) {
	a := age(t)
	a.ahead.Store(int64(55 * time.Minute)) // it has an hour
	a.Put(t, []byte("in time"))
	a.ahead.Store(int64(61 * time.Minute))
	b := []byte("late")
	err := a.PutBlob(t.Context(), id.Of(b), int64(len(b)), bytes.NewReader(b))
	var refused *api.RefusedError
	if !errors.As(err, &refused) || refused.PayloadBytes != 0 {
		t.Errorf("sent after the manifest ended: %v", err)
	}
	if have, err := a.plain.Have(t.Context(), []id.ID{id.Of(b)}); err != nil || have[0] {
		t.Errorf("the server has it: %v, %v", have, err)
	}
}

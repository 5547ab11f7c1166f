package jetstream_test

import (
	"errors"
	"testing"
	"time"

	"cipherdeck/remote/store/jetstream"
)

// TestClusterRefused is what an external cluster is refused for.
func TestClusterRefused(t *testing.T) {
	c := newCluster(t)
	closed(t, c.open(t, time.Minute))
	try := func(edit func(*jetstream.External)) (*jetstream.Engine, error) {
		x := c.external()
		edit(x)
		return jetstream.Open(t.Context(), jetstream.Config{External: x, Lease: time.Minute})
	}
	for name, f := range map[string]struct {
		edit func(*jetstream.External)
		want error
	}{
		"nobody can ask": {func(x *jetstream.External) { x.System = "" }, jetstream.ErrUnsynced},
		"not system's":   {func(x *jetstream.External) { x.System = c.app }, jetstream.ErrUnsynced},
		"other replicas": {func(x *jetstream.External) { x.Replicas = 1 }, jetstream.ErrSettings},
		"two replicas":   {func(x *jetstream.External) { x.Replicas = 2 }, jetstream.ErrExternal},
		"a password":     {func(x *jetstream.External) { x.Servers[0] = "nats://u:secret@127.0.0.1:1" }, jetstream.ErrExternal},
		"no server":      {func(x *jetstream.External) { x.Servers = nil }, jetstream.ErrExternal},
		"no credentials": {func(x *jetstream.External) { x.Credentials = c.nodes[0].name }, nil},
	} {
		_, err := try(f.edit)
		if err == nil || f.want != nil && !errors.Is(err, f.want) {
			t.Errorf("%s: %v, want %v", name, err, f.want)
		}
	}

	// Somebody changes a stream: it is named, and not changed back.
	j := c.admin(t)
	s, err := j.Stream(t.Context(), "KV_docs")
	if err != nil {
		t.Fatal(err)
	}
	conf := s.CachedInfo().Config
	conf.AllowDirect = true
	if _, err := j.UpdateStream(t.Context(), conf); err != nil {
		t.Fatal(err)
	}
	if _, err := try(func(*jetstream.External) {}); !errors.Is(err, jetstream.ErrSettings) {
		t.Errorf("with direct reads: %v", err)
	}
	conf.AllowDirect = false
	if _, err := j.UpdateStream(t.Context(), conf); err != nil {
		t.Fatal(err)
	}

	// A server that flushes when it likes is named; the operator may insist.
	c.kill(t, 1)
	c.nodes[1].lax = true
	c.start(t, 1)
	lax := func() (e *jetstream.Engine, err error) {
		over, tick := time.After(patience), time.Tick(200*time.Millisecond)
		for {
			if e, err = try(func(*jetstream.External) {}); errors.Is(err, jetstream.ErrUnsynced) {
				return e, err
			}
			if err == nil {
				closed(t, e)
			}
			select { // it is not back yet
			case <-tick:
			case <-over:
				return nil, err
			}
		}
	}
	if _, err := lax(); !errors.Is(err, jetstream.ErrUnsynced) {
		t.Errorf("with a server that does not flush: %v", err)
	}
	e, err := try(func(x *jetstream.External) { x.Unsynced = true })
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, e)
	if !e.Unsynced() {
		t.Error("nobody is told that the store may lose writes")
	}
}

package jetstream

import (
	"errors"
	"fmt"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

// TestSettings holds the settings whose defaults lose data or answer old.
func TestSettings(t *testing.T) {
	e, err := Open(t.Context(), Config{Dir: t.TempDir(), Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if !options(Config{Dir: "x"}).SyncAlways || !options(Config{Dir: "x"}).DontListen {
		t.Error("the embedded server must flush every write and open no port")
	}
	for _, name := range []string{"KV_docs", "KV_leases", "JOBS"} {
		s, err := e.queue.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if c := s.CachedInfo().Config; c.AllowDirect || c.Storage != js.FileStorage {
			t.Errorf("%s: AllowDirect %v, storage %v", name, c.AllowDirect, c.Storage)
		}
	}
	if a := e.srv.Addr(); a != nil {
		t.Errorf("the embedded server listens on %v", a)
	}
}

// TestMarkers shows that a deletion leaves nothing for ever.
func TestMarkers(t *testing.T) {
	e, err := Open(t.Context(), Config{Dir: t.TempDir(), Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.docs.marker = time.Second // the least there is
	rev, err := e.docs.Put(t.Context(), "k", []byte("body"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.docs.Delete(t.Context(), "k", rev); err != nil {
		t.Fatal(err)
	}
	s, err := e.queue.js.Stream(t.Context(), "KV_docs")
	if err != nil {
		t.Fatal(err)
	}
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		i, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i.State.Msgs == 0 {
			break
		}
	}
	again, err := e.docs.Put(t.Context(), "k", []byte("again"), 0)
	if err != nil || again <= rev {
		t.Errorf("made again at %d after %d, %v", again, rev, err)
	}
}

// TestClassify covers what one replica never answers.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		in   error
		want error
	}{
		{js.ErrKeyExists, store.ErrConflict},
		{js.ErrKeyRevisionMismatch, store.ErrConflict},
		{fmt.Errorf("update: %w", &js.APIError{ErrorCode: 10071}), store.ErrConflict},
		{fmt.Errorf("update: %w", &js.APIError{ErrorCode: 10164}), store.ErrConflict},
		{&js.APIError{ErrorCode: 10077}, store.ErrUnavailable},
		{js.ErrNoStreamResponse, store.ErrUnavailable},
		{errors.New("timeout"), store.ErrUnknown},
	} {
		if got := classify(c.in); !errors.Is(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.in, got, c.want)
		}
	}
}

package jetstream_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"cipherdeck/remote/store"
	"cipherdeck/remote/store/jetstream"
	"cipherdeck/remote/store/storetest"
)

func open(t *testing.T, dir string, lease time.Duration) storetest.Engines {
	t.Helper()
	e, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, e) })
	return storetest.Engines{Docs: e.Docs(), Queue: e.Queue(), Reopen: func(t *testing.T) storetest.Engines {
		closed(t, e)
		return open(t, dir, lease)
	}}
}

func closed(t *testing.T, e *jetstream.Engine) {
	if err := e.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, lease time.Duration) storetest.Engines { return open(t, t.TempDir(), lease) })
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, time.Hour)
	_, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Lease: time.Second})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("second open: %v, want %v", err, store.ErrUnavailable)
	}
}

func TestClosed(t *testing.T) {
	e, err := jetstream.Open(t.Context(), jetstream.Config{Dir: t.TempDir(), Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, e)
	if _, err := e.Docs().Put(t.Context(), "k", nil, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if _, err := e.Docs().Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	if _, err := e.Queue().Lease(t.Context(), "cpu", time.Second); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("lease: %v", err)
	}
}

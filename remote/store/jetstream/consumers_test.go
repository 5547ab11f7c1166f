package jetstream

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cipherdeck/remote/store"
)

func consumers(t *testing.T, e *Engine) int {
	t.Helper()
	info, err := e.queue.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Consumers
}

// TestConsumers asks for work in the name of many classes that have none, and
// then gives one of them a job.
func TestConsumers(t *testing.T) {
	dir := t.TempDir()
	reopen := func() *Engine {
		e, err := Open(t.Context(), Config{Dir: dir, Lease: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() }) // it may be closed already
		return e
	}
	e := reopen()
	for n := range 50 {
		for _, wait := range []time.Duration{0, time.Millisecond} {
			if _, err := e.queue.Lease(t.Context(), fmt.Sprint("stranger", n), wait); !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
		}
	}
	if n := consumers(t, e); n != 0 || len(e.queue.bells) != 0 {
		t.Errorf("50 strangers cost %d consumers and %d bells", n, len(e.queue.bells))
	}
	got := make(chan error, 2)
	for range cap(got) {
		go func() {
			l, err := e.queue.Lease(t.Context(), "node", time.Minute)
			if err == nil {
				err = e.queue.Done(t.Context(), l)
			}
			got <- err
		}()
	}
	for n := range cap(got) {
		if err := e.queue.Enqueue(t.Context(), "node", fmt.Sprint("job", n)); err != nil {
			t.Fatal(err)
		}
	}
	for range cap(got) {
		if err := <-got; err != nil {
			t.Errorf("who waited for the first job: %v", err)
		}
	}
	if n := consumers(t, e); n != 1 {
		t.Errorf("one class with jobs has %d consumers", n)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = reopen()
	if n := consumers(t, e); n != 0 {
		t.Errorf("%d consumers of classes without a job are kept", n)
	}
}

// TestCloseWhileWaiting closes the engine under somebody who waits for the
// first job of a class.
func TestCloseWhileWaiting(t *testing.T) {
	e, err := Open(t.Context(), Config{Dir: t.TempDir(), Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := e.queue.Lease(t.Context(), "node", time.Hour)
		got <- err
	}()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("lease: %v", err)
	}
}

// TestConsumerGone deletes a consumer under the queue: who asks waits for a new
// one, and gets the job.
func TestConsumerGone(t *testing.T) {
	e, err := Open(t.Context(), Config{Dir: t.TempDir(), Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if err := e.queue.Enqueue(t.Context(), "node", "job1"); err != nil {
		t.Fatal(err)
	}
	l, err := e.queue.Lease(t.Context(), "node", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.queue.Done(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if err := e.queue.stream.DeleteConsumer(t.Context(), "node"); err != nil {
		t.Fatal(err)
	}
	if err := e.queue.Enqueue(t.Context(), "node", "job2"); err != nil {
		t.Fatal(err)
	}
	if l, err := e.queue.Lease(t.Context(), "node", time.Minute); err != nil || l.Job != "job2" {
		t.Errorf("lease from a consumer that is gone: %+v, %v", l, err)
	}
}

package jetstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cipherdeck/remote/store"
)

// TestCutOff asks the leader that is cut off while the others go on: it still
// says what was, and the engine must not. Once it is joined again both of them
// answer for a moment.
func TestCutOff(t *testing.T) {
	c := newCluster(t)
	any := c.open(t, time.Minute).Docs()
	old, err := any.Put(t.Context(), "k", []byte("old"), 0)
	if err != nil {
		t.Fatal(err)
	}
	n := c.leader(t)
	alone := c.open(t, time.Minute, n).Docs()
	others := c.open(t, time.Minute, (n+1)%size, (n+2)%size).Docs()
	raw := c.raw(t, n)

	c.part(n)
	rev := eventually(t, func(ctx context.Context) (store.Rev, error) { return others.Put(ctx, "k", []byte("new"), old) })
	m, err := raw.GetLastMsgForSubject(t.Context(), "$KV.docs.k")
	t.Logf("the server that is cut off says %v, %v", m, err)
	if err != nil || string(m.Data) != "old" {
		t.Skip("SKIPPED: the server that was cut off knew it too soon; nothing is shown")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if d, err := alone.Get(ctx, "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("cut off: %+v, %v", d, err)
	}
	if _, err := alone.Put(ctx, "k", []byte("late"), old); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("a write at the server that is cut off: %v; nobody there can know", err)
	}

	c.heal(n)
	eventually(t, func(ctx context.Context) (store.Rev, error) {
		d, err := alone.Get(ctx, "k")
		if err == nil && d.Rev < rev {
			t.Errorf("joined again: %+v", d)
		}
		return d.Rev, err
	})
}

// eventually asks until it is answered, and takes a conflict for an answer
// that was lost.
func eventually(t *testing.T, ask func(context.Context) (store.Rev, error)) store.Rev {
	t.Helper()
	over, tick := time.After(patience), time.Tick(20*time.Millisecond)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		rev, err := ask(ctx)
		cancel()
		if err == nil {
			return rev
		}
		select {
		case <-over:
			t.Fatal(err)
		case <-tick:
		}
	}
}

package jetstream

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// TestRounds shows that who comes during a round gets the next one, shared.
func TestRounds(t *testing.T) {
	var r rounds
	var ran uint64
	begun, goOn := make(chan bool), make(chan bool)
	run := func() (entry, error) {
		ran++ // rounds of a key come one after the other
		n := ran
		begun <- true
		<-goOn
		return entry{rev: n}, nil
	}
	first := r.enter("k", run)
	<-begun
	var late []*round
	for range 50 {
		late = append(late, r.enter("k", run))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.join(gone, "k", run); !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves: %v", err)
	}
	var other sync.WaitGroup
	other.Go(func() { // another key does not wait
		if e, err := r.join(t.Context(), "l", func() (entry, error) { return entry{rev: 9}, nil }); err != nil || e.rev != 9 {
			t.Errorf("another key: %+v, %v", e, err)
		}
	})
	other.Wait()
	goOn <- true
	<-begun
	goOn <- true
	<-first.done
	if first.entry.rev != 1 {
		t.Errorf("the first is told %d", first.entry.rev)
	}
	for _, w := range late {
		if <-w.done; w.entry.rev != 2 {
			t.Fatalf("who came during round 1 is told of round %d", w.entry.rev)
		}
	}
}

package mem_test

import (
	"sync"
	"testing"
	"time"

	"cipherdeck/remote/store/mem"
	"cipherdeck/remote/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, lease time.Duration) storetest.Engines {
		return storetest.Engines{
			Docs:    mem.NewDocs(),
			Queue:   mem.NewQueue(lease, time.Now),
			Blobs:   mem.NewBlobs(1 << 16),
			MaxBlob: 1 << 16,
		}
	})
}

func TestHistory(t *testing.T) {
	d := mem.NewDocs()
	storetest.Together(t, 1000, d, d, d, d)
}

// TestStaleReadsAreNoticed is the control of every test of a history.
func TestStaleReadsAreNoticed(t *testing.T) {
	d := storetest.Stale(mem.NewDocs())
	h := storetest.NewHistory()
	var all sync.WaitGroup
	for id := range 4 {
		all.Go(func() { h.Client(t.Context(), id, 500, d) })
	}
	all.Wait()
	if err := h.Verdict(); err == nil {
		t.Error("a store that answers with old documents passes for a good one")
	} else {
		t.Log(err)
	}
}

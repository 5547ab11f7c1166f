package mem_test

import (
	"testing"
	"time"

	"cipherdeck/remote/store/mem"
	"cipherdeck/remote/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Engines {
		return storetest.Engines{
			Docs:    mem.NewDocs(),
			Queue:   mem.NewQueue(1500*time.Millisecond, time.Now),
			Blobs:   mem.NewBlobs(1 << 16),
			MaxBlob: 1 << 16,
		}
	})
}

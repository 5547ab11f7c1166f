package mem_test

import (
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

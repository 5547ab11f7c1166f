package jetstream_test

import (
	"testing"
	"time"

	"cipherdeck/remote/store/storetest"
)

// TestClusterConformance runs the one suite on three server processes.
func TestClusterConformance(t *testing.T) {
	c := newCluster(t)
	storetest.Run(t, func(t *testing.T, lease time.Duration) storetest.Engines {
		c.open(t, lease) // when it opens there are leaders
		c.wipe(t)
		return c.engines(t, lease)
	})
}

// engines reopens by killing all three servers at once.
func (c *cluster) engines(t *testing.T, lease time.Duration) storetest.Engines {
	e := c.open(t, lease)
	return storetest.Engines{Docs: e.Docs(), Queue: e.Queue(), Reopen: func(t *testing.T) storetest.Engines {
		closed(t, e)
		for n := range size {
			c.kill(t, n)
		}
		for n := range size {
			c.start(t, n)
		}
		return c.engines(t, lease)
	}}
}

package jetstream_test

import (
	"testing"
	"time"

	"cipherdeck/remote/store/storetest"
)

// TestHistory checks what clients of the server in this process were told.
func TestHistory(t *testing.T) {
	d := open(t, t.TempDir(), time.Hour).Docs
	storetest.Together(t, 300, d, d, d, d)
}

// TestClusterHistory has a client at each server: none may be told what was.
func TestClusterHistory(t *testing.T) {
	c := newCluster(t)
	a, b, d := c.open(t, time.Hour, 0), c.open(t, time.Hour, 1), c.open(t, time.Hour, 2)
	storetest.Together(t, 200, a.Docs(), b.Docs(), d.Docs(), a.Docs(), b.Docs(), d.Docs())
}

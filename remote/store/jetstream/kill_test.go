package jetstream_test

import (
	"path/filepath"
	"testing"

	"cipherdeck/remote/store/faulttest"
)

// TestKilled kills a process with four writers again and again, and looks for
// all it acknowledged.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	a := newAcks()
	rounds := faulttest.Rounds(t, 5, 25)
	for round := range rounds {
		killed(t, "writer", dir, 40+17*(round%7), a)
	}
	n := a.count()
	lost := a.lost(t, dir)
	wantNone(t, lost)
	t.Logf("%d writes acknowledged over %d kills, %d lost or doubled", n, rounds, len(lost))
}

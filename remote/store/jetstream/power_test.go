//go:build linux

package jetstream_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"cipherdeck/remote/store/faultfs"
	"cipherdeck/remote/store/faulttest"
)

// cutPower lets writers work on a file system that forgets, cuts the power,
// and gives the folder with what the disk has.
func cutPower(t *testing.T, role, from string, mode faultfs.Mode, torn *rand.Rand, lines int, a *acks) (after string) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := faultfs.Mount(dir, from, mode)
	if errors.Is(err, faultfs.ErrNoFUSE) {
		t.Skipf("SKIPPED: no power is cut: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	killed(t, role, filepath.Join(dir, "store"), lines, a)
	after = t.TempDir()
	if err := errors.Join(f.Survive(after, torn), f.Close()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, torn %v: %d flushes for %d writes acknowledged so far", mode, torn != nil, f.Flushes(), a.count())
	return after
}

// TestPowerCut cuts the power under four writers, again and again on the same
// store, as each of two kinds of file system would lose it.
func TestPowerCut(t *testing.T) {
	rounds := faulttest.Rounds(t, 1, 3)
	for _, mode := range []faultfs.Mode{faultfs.Strict, faultfs.Ordered} {
		t.Run(mode.String(), func(t *testing.T) {
			a, dir, rnd := newAcks(), "", rand.New(rand.NewPCG(7, 11))
			for round := range rounds {
				torn := rnd
				if round%2 == 1 {
					torn = nil
				}
				dir = cutPower(t, "writer", dir, mode, torn, 150, a)
				wantNone(t, a.lost(t, filepath.Join(dir, "store")))
			}
		})
	}
}

// TestPowerCutIsNoticed is the control: with the default of the server, which
// flushes when it likes, the same cut must be seen to lose something.
func TestPowerCutIsNoticed(t *testing.T) {
	a := newAcks()
	dir := cutPower(t, "lax-writer", "", faultfs.Ordered, nil, 150, a)
	n := a.count()
	lost := a.lost(t, filepath.Join(dir, "store"))
	if len(lost) == 0 {
		t.Errorf("nothing of %d writes was lost without flushes: the test sees nothing", n)
	}
	t.Log(fmt.Sprintf("control: of %d writes acknowledged without flushes these are lost: %d, first: %v", n, len(lost), lost[:min(1, len(lost))]))
}

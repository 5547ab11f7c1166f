package keys

import (
	"testing"
	"time"
)

func TestScaled(t *testing.T) {
	const ms, gib = time.Millisecond, uint64(1) << 20
	for name, c := range map[string]struct {
		took, target time.Duration
		ram          uint64
		want         uint32
	}{
		"already slow enough":      {700 * ms, 750 * ms, 0, 64 << 10},
		"fast machine":             {80 * ms, 750 * ms, 0, 512 << 10},
		"very fast":                {1 * ms, 750 * ms, 0, 1 << 20},
		"a quarter of memory":      {1 * ms, 750 * ms, 2 * gib, 512 << 10},
		"little memory":            {1 * ms, 750 * ms, gib / 8, 64 << 10},
		"a clock that stood still": {0, 750 * ms, 0, 64 << 10},
		"no target":                {80 * ms, 0, 0, 64 << 10},
	} {
		got := DefaultArgon2id().scaled(c.took, c.target, c.ram)
		if got.MKiB != c.want || got.T != 3 || got.P != 4 {
			t.Errorf("%s: %+v, want %d KiB", name, got, c.want)
		}
	}
}

func TestCalibrateIsAllowed(t *testing.T) {
	if err := Calibrate(0).Check(); err != nil {
		t.Error(err)
	}
}

package keys

import "time"

// mostMKiB is the most that Calibrate chooses: more is no pleasure on the next
// machine that opens the file.
const mostMKiB = 1 << 20

// Calibrate chooses how much memory a passphrase shall cost, so that deriving a
// key takes this machine about as long as target: 3 passes in 4 lanes over a
// power of two from 64 MiB to 1 GiB, never more than a quarter of the memory.
// It measures once, over 64 MiB.
func Calibrate(target time.Duration) Argon2id {
	a := DefaultArgon2id()
	begin := time.Now()
	if _, err := a.Derive([]byte("calibrate"), [16]byte{}); err != nil {
		return a // a small machine: Check will say so
	}
	return a.scaled(time.Since(begin), target, memoryKiB())
}

// scaled is the cost for target when a took took; ram in KiB, 0 if not known.
// Time grows with memory, as long as there is memory.
func (a Argon2id) scaled(took, target time.Duration, ram uint64) Argon2id {
	most := uint64(mostMKiB)
	if ram != 0 {
		most = min(most, ram/4)
	}
	for took > 0 && 2*took <= target && 2*uint64(a.MKiB) <= most {
		took, a.MKiB = 2*took, 2*a.MKiB
	}
	return a
}

package attestdiff

import (
	"crypto"
	"fmt"
	"os"
	"slices"
	"testing"

	other "github.com/google/go-attestation/attest"

	"cipherdeck/attest"
	"cipherdeck/attest/bootlog"
)

// TestRatios prints how long the same work takes ours and go-attestation, and
// the one divided by the other. Both are measured in turns, and the best of the
// rounds counts, so that other programs disturb both alike. Nothing is asserted:
// a machine may be busy.
func TestRatios(t *testing.T) {
	if os.Getenv("CIPHERDECK_RATIOS") == "" {
		t.Skip("SKIPPED, NOT MEASURED: CIPHERDECK_RATIOS is not set (make bench-attest)")
	}
	ecc, rsa := quote(t, false), quote(t, true)
	raw := aboutSize(logs(t), 60_000)
	ends, err := bootlog.Replay(raw, attest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var pcrs []other.PCR
	var values []attest.PCRValue
	for i, v := range ends {
		if v != nil {
			pcrs = append(pcrs, other.PCR{Index: i, Digest: v, DigestAlg: crypto.SHA256})
			values = append(values, attest.PCRValue{Index: uint8(i), Value: v})
		}
	}
	explained, err := bootlog.Explain(raw, attest.SHA256, values)
	if err != nil {
		t.Fatal(err)
	}
	mine := func() bool { _, err := bootlog.Replay(raw, attest.SHA256); return err == nil }
	his := func() bool {
		el, err := other.ParseEventLog(raw)
		if err != nil {
			return false
		}
		_, err = el.Verify(pcrs)
		return err == nil
	}
	fmt.Printf("%-34s %10s %10s %7s %12s %12s\n", "", "ours", "theirs", "ratio", "ours/s", "allocs o/t")
	for _, row := range []struct {
		name         string
		ours, theirs func() bool
	}{
		{"quote, ECC P-256", func() bool { return ours(ecc) }, func() bool { return theirs(ecc) }},
		{"quote, RSA 2048", func() bool { return ours(rsa) }, func() bool { return theirs(rsa) }},
		{fmt.Sprintf("log of %d bytes, %d events", len(raw), explained.Events), mine, his},
		{"quote, ECC, and that log", func() bool { return ours(ecc) && mine() }, func() bool { return theirs(ecc) && his() }},
	} {
		a, b := measured(t, row.ours, row.theirs)
		fmt.Printf("%-34s %8.1fµs %8.1fµs %7.2f %12.0f %6d/%d\n", row.name, a.us, b.us, a.us/b.us, 1e6/a.us, a.allocs, b.allocs)
	}
	fmt.Printf("allocations an event of the log: %.3f\n", testing.AllocsPerRun(100, func() { mine() })/float64(explained.Events))
}

// aboutSize is the log whose length is nearest to n bytes, of those that have a
// bank that we replay.
func aboutSize(all map[string][]byte, n int) (best []byte) {
	for _, raw := range all {
		if _, err := bootlog.Replay(raw, attest.SHA256); err == nil && (best == nil || distance(raw, n) < distance(best, n)) {
			best = raw
		}
	}
	return best
}

func distance(raw []byte, n int) int { return max(len(raw)-n, n-len(raw)) }

// cost is the time of one operation in microseconds, and its allocations.
type cost struct {
	us     float64
	allocs int64
}

// measured runs the two in turns and takes the best of each.
func measured(t *testing.T, ours, theirs func() bool) (a, b cost) {
	t.Helper()
	const rounds = 5
	var all [2][]cost
	for range rounds {
		for i, run := range []func() bool{ours, theirs} {
			r := testing.Benchmark(func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if !run() {
						b.Fatal("refused")
					}
				}
			})
			if r.N == 0 {
				t.Fatal("it refused what is good")
			}
			all[i] = append(all[i], cost{float64(r.T.Nanoseconds()) / float64(r.N) / 1e3, r.AllocsPerOp()})
		}
	}
	least := func(c []cost) cost {
		return slices.MinFunc(c, func(x, y cost) int {
			if x.us < y.us {
				return -1
			}
			return 1
		})
	}
	return least(all[0]), least(all[1])
}

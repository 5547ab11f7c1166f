package secmem

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// What f made of a secret is in no writable page of the process after Do. First
// the test shows that it can see copies; without the experiment it ends there.
// Half of them is the limit: the search itself and grown stacks make a few.
func TestDoErases(t *testing.T) {
	marker := sha512.Sum512([]byte("a seed"))
	before := occurrences(t, marker[:16])
	seen := work(1)
	if n := occurrences(t, marker[:16]); n < before+copies/2 {
		t.Fatalf("%d copies before, %d with %d more: the test does not see them", before, n, copies)
	}
	for _, b := range seen {
		clear(b)
	}
	if !Erases() {
		t.Skip("SKIPPED, NOT TESTED: built without GOEXPERIMENT=runtimesecret")
	}
	before = occurrences(t, marker[:16])
	var some [][]byte
	Do(func() { some = work(64) })
	for range 3 {
		runtime.GC()
	}
	after := occurrences(t, marker[:16])
	if after > before+copies/2 {
		t.Errorf("%d copies before, %d after Do", before, after)
	}
	runtime.KeepAlive(some)
}

// copies is how many work makes.
const copies = 4096

// work makes copies on the heap and returns each that keep divides: those keep
// the pages of the others in use, which would else be given to somebody else.
//
//go:noinline
func work(keep int) [][]byte {
	var out [][]byte
	for i := range copies {
		sum := sha512.Sum512([]byte("a seed"))
		b := append([]byte(nil), sum[:]...)
		if i%keep == 0 {
			out = append(out, b)
		}
	}
	return out
}

// occurrences counts needle in the writable memory of this process, but for
// where needle itself lies.
func occurrences(t *testing.T, needle []byte) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	defer mem.Close()
	n := 0
	buf := make([]byte, 1<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") || to-from > 1<<30 {
			continue
		}
		for at := from; at < to; at += int64(len(buf)) {
			k, err := mem.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
			if err == nil || k > 0 {
				n += bytes.Count(buf[:k], needle)
			}
		}
	}
	return n
}

// Package faulttest is what tests of the store break things with: a link
// between two servers that can be cut, bits that flip, a disk that is small.
// The power is cut by faultfs. It is in no program.
package faulttest

import (
	"os"
	"testing"
)

// FullEnv set to "full" asks for the long form of the tests of faults.
const FullEnv = "CIPHERDECK_FAULTS"

// Full reports whether the long form is wanted; make test runs the short one.
func Full() bool { return os.Getenv(FullEnv) == "full" }

// Rounds is how often a fault is tried, in the short form and in the long one.
func Rounds(t *testing.T, short, full int) int {
	t.Helper()
	if Full() {
		return full
	}
	t.Logf("short form: %d of %d rounds; make test-full runs all", short, full)
	return short
}

//go:build !linux

package faulttest

import "testing"

// SmallDisk skips the test.
func SmallDisk(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("SKIPPED: no disk is filled: a small one is mounted on Linux only")
	return ""
}

// GrowDisk is not reached.
func GrowDisk(*testing.T, string, int) {}

package faulttest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// SmallDisk is a file system in memory of so many MiB. The test is skipped
// where this user may not mount.
func SmallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("cipherdeck-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("SKIPPED: no disk is filled: a small one cannot be mounted: %v; run this as root", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// GrowDisk gives a small disk more room.
func GrowDisk(t *testing.T, dir string, mib int) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatal(err)
	}
}

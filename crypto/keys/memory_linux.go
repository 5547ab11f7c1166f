package keys

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// memoryKiB is the memory this process may use: the machine's, or what its
// control group (a container) leaves of it. 0 means not known.
func memoryKiB() uint64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	ram := uint64(si.Totalram) * uint64(si.Unit) >> 10
	b, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return ram
	}
	if n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64); err == nil { // "max" does not parse
		ram = min(ram, n>>10)
	}
	return ram
}

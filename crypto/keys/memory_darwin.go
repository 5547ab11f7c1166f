package keys

import "golang.org/x/sys/unix"

// memoryKiB is the memory of this machine, 0 if it is not known.
func memoryKiB() uint64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return n >> 10
}

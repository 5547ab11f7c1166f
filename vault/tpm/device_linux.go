package tpm

import (
	"os"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// Device opens the TPM at path: a device, or the socket of an swtpm. Empty is
// /dev/tpmrm0, the one with the kernel's resource manager; who may use it is in
// the group tss on most systems.
func Device(path string) Opener {
	if path == "" {
		path = "/dev/tpmrm0"
	}
	return func() (transport.TPMCloser, error) {
		if fi, err := os.Stat(path); err == nil && fi.Mode().Type() == os.ModeSocket {
			return linuxudstpm.Open(path)
		}
		return linuxtpm.Open(path)
	}
}

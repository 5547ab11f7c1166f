// Package device opens the TPM that a machine attests with.
package device

import (
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
)

// ErrSpec is wrapped when a back end is not one that can be opened.
var ErrSpec = errors.New("no such TPM")

// Device is an open TPM. Close it: a child process or a file waits.
type Device struct {
	transport.TPM
	Kind  string   // "device", "swtpm" or "soft"
	Chain [][]byte // EK certificates in DER, the EK's first, from NV and from beside the state; may be empty
	close func() error
}

// Close shuts the TPM down in order, so that it counts no lockout, and closes
// it.
func (d *Device) Close() error {
	if d.close == nil {
		return nil
	}
	return d.close()
}

// Open opens the TPM that spec names, with its state in dir:
//
//	soft             the software TPM in this process; a demonstration
//	swtpm            the swtpm program as a child process
//	/dev/tpmrm0      a character device, or a Unix socket of swtpm
//
// Errors wrap ErrSpec when it is none of them or cannot be had here.
func Open(spec, dir string) (*Device, error) { return nil, ErrSpec }

//go:build !linux

package tpm

import "github.com/google/go-tpm/tpm2/transport"

// Device opens no TPM on this system.
func Device(string) Opener {
	return func() (transport.TPMCloser, error) { return nil, ErrNoTPM }
}

//go:build unix

package device

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

func openPath(path string) (*Device, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	var tpm transport.TPMCloser
	switch mode := info.Mode(); {
	case mode&fs.ModeSocket != 0:
		tpm, err = linuxudstpm.Open(path)
	case mode&fs.ModeCharDevice != 0:
		tpm, err = linuxtpm.Open(path)
	default:
		return nil, fmt.Errorf("%w: %s is neither a device nor a socket", ErrSpec, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSpec, path, err)
	}
	return &Device{TPM: tpm, Kind: "device", close: tpm.Close}, nil
}

//go:build !unix || darwin

package vault

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/zalando/go-keyring"
)

// available: the keychain is part of the system.
func available() error { return nil }

// cause names an error of the macOS keychain or the Windows credential manager.
func cause(err error) error {
	var exit *exec.ExitError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrKeyringTimeout, err)
	case errors.Is(err, keyring.ErrNotFound):
		return ErrKeyringMissing
	case errors.Is(err, keyring.ErrUnsupportedPlatform), errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w: %v", ErrKeyringAbsent, err)
	case runtime.GOOS == "darwin" && errors.As(err, &exit) && exit.ExitCode() == 36: // errSecInteractionNotAllowed (-25308) & 0xff
		return fmt.Errorf("%w: %v", ErrKeyringLocked, err)
	case runtime.GOOS == "darwin" && errors.As(err, &exit) && exit.ExitCode() == 128: // errSecUserCanceled (-128) & 0xff
		return fmt.Errorf("%w: %v", ErrKeyringDenied, err)
	}
	return err
}

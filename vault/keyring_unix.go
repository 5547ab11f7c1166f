//go:build unix && !darwin

package vault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zalando/go-keyring"
)

// available looks for a session bus before the D-Bus library does: without one
// it would start a new bus (dbus-launch) and leave it running.
func available() error {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && a != "autolaunch:" {
		return nil
	}
	dir := filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: DBUS_SESSION_BUS_ADDRESS is not set", ErrKeyringAbsent)
}

// cause names an error of the Secret Service. Most of them are only text.
func cause(err error) error {
	var dial *net.OpError
	text := err.Error()
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrKeyringTimeout, err)
	case errors.Is(err, context.Canceled), errors.Is(err, ErrKeyringAbsent):
		return err
	case errors.Is(err, keyring.ErrNotFound):
		return ErrKeyringMissing
	case errors.Is(err, keyring.ErrUnsupportedPlatform), errors.Is(err, exec.ErrNotFound), errors.As(err, &dial),
		has("was not provided by any .service files", "ServiceUnknown", "no such file or directory",
			"No such object path", "UnknownObject", "does not exist"): // the last three: no default collection
		return fmt.Errorf("%w: %v", ErrKeyringAbsent, err)
	case has("failed to unlock correct collection", "IsLocked", "locked collection", "locked object"):
		return fmt.Errorf("%w: %v", ErrKeyringLocked, err)
	case has("AccessDenied", "dismissed", "not authorized", "ermission denied"):
		return fmt.Errorf("%w: %v", ErrKeyringDenied, err)
	}
	return err
}

//go:build !linux && !darwin

package agent

import "net"

const supported = false

func peer(*net.UnixConn) (int, error) { return 0, ErrUnsupported }

//go:build !linux

package agent

import "context"

// WatchSleep has nothing to watch on this system: it is built for logind only.
func WatchSleep(context.Context, func()) error { return ErrUnsupported }

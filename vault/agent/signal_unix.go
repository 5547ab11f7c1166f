//go:build unix

package agent

import (
	"os"
	"os/signal"
	"syscall"
)

// hangups is the signals on which the agent locks.
func hangups() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

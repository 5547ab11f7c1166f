package agent

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// WatchSleep calls lock before the machine sleeps and when it wakes up, until
// ctx ends. It listens to PrepareForSleep of systemd-logind
// (org.freedesktop.login1(5)) and holds a delay inhibitor, so that the machine
// waits for lock to return. The error says why there is nothing to watch: no
// system bus, no logind.
func WatchSleep(ctx context.Context, lock func()) error {
	c, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("watch for sleep: %w", err)
	}
	return watchSleep(ctx, c, lock)
}

const (
	logind     = "org.freedesktop.login1"
	logindPath = "/org/freedesktop/login1"
	manager    = logind + ".Manager"
)

// watchSleep owns c.
func watchSleep(ctx context.Context, c *dbus.Conn, lock func()) error {
	defer c.Close()
	if err := c.AddMatchSignalContext(ctx, dbus.WithMatchInterface(manager), dbus.WithMatchMember("PrepareForSleep"),
		dbus.WithMatchObjectPath(logindPath), dbus.WithMatchSender(logind)); err != nil {
		return fmt.Errorf("watch for sleep: %w", err)
	}
	signals := make(chan *dbus.Signal, 4)
	c.Signal(signals)
	held := inhibit(ctx, c)
	defer func() { release(held) }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, open := <-signals:
			if !open {
				lock() // the bus is gone: nobody would tell us
				return fmt.Errorf("watch for sleep: the bus closed the connection")
			}
			if s.Name != manager+".PrepareForSleep" || len(s.Body) != 1 {
				continue
			}
			lock()
			release(held)
			held = nil
			if starts, ok := s.Body[0].(bool); ok && !starts {
				held = inhibit(ctx, c) // for the next time
			}
		}
	}
}

// inhibit delays sleep until the file is closed; nil if logind says no, when
// the lock comes at the same time as sleep instead of before.
func inhibit(ctx context.Context, c *dbus.Conn) *os.File {
	var fd dbus.UnixFD
	err := c.Object(logind, logindPath).CallWithContext(ctx, manager+".Inhibit", dbus.FlagNoAutoStart,
		"sleep", "cipherdeck", "forget keys of vaults", "delay").Store(&fd)
	if err != nil {
		return nil
	}
	syscall.CloseOnExec(int(fd))
	return os.NewFile(uintptr(fd), "inhibitor")
}

func release(f *os.File) {
	if f != nil {
		f.Close()
	}
}

package agent

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// login stands for systemd-logind on a bus of the test's own.
type login struct{ inhibitors chan *os.File }

// Inhibit gives out one end of a pipe; the other end tells when it is closed.
func (l login) Inhibit(what, _, _, mode string) (dbus.UnixFD, *dbus.Error) {
	if what != "sleep" || mode != "delay" {
		return 0, dbus.MakeFailedError(errors.New("unexpected inhibitor"))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	l.inhibitors <- r
	l.inhibitors <- w
	return dbus.UnixFD(w.Fd()), nil
}

// bus starts a dbus-daemon and returns how to connect to it.
func bus(t *testing.T) func() *dbus.Conn {
	t.Helper()
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: dbus-daemon is not installed (package dbus)")
	}
	cmd := exec.Command(path, "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:dir="+short(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return func() *dbus.Conn {
		c, err := dbus.Connect(strings.TrimSpace(address))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func TestWatchSleep(t *testing.T) {
	connect := bus(t)
	host, l := connect(), login{make(chan *os.File, 2)}
	if err := host.Export(l, logindPath, manager); err != nil {
		t.Fatal(err)
	}
	if _, err := host.RequestName(logind, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	locked, ended := make(chan struct{}, 4), make(chan error, 1)
	go func() { ended <- watchSleep(ctx, connect(), func() { locked <- struct{}{} }) }()
	expectSleep := func() {
		t.Helper()
		r, w := <-l.inhibitors, <-l.inhibitors
		// An answer on the same connection says that the descriptor was sent.
		defer r.Close()
		if err := connect().Object(logind, logindPath).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
			t.Fatal(err)
		}
		forge(t, connect())
		if len(locked) > 0 {
			t.Fatal("locked on a signal that is not logind's")
		}
		if err := host.Emit(logindPath, manager+".PrepareForSleep", true); err != nil {
			t.Fatal(err)
		}
		<-locked
		w.Close() // ours; the watcher's copy was the last
		if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Fatalf("the inhibitor was not released: %d %v", n, err)
		}
		if err := host.Emit(logindPath, manager+".PrepareForSleep", false); err != nil {
			t.Fatal(err)
		}
		<-locked
	}
	expectSleep()
	expectSleep() // it takes a new inhibitor after waking up
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// forge sends logind's signal from another sender.
func forge(t *testing.T, c *dbus.Conn) {
	t.Helper()
	if err := c.Emit(logindPath, manager+".PrepareForSleep", true); err != nil {
		t.Fatal(err)
	}
	if err := c.Object("org.freedesktop.DBus", "/").Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
		t.Fatal(err)
	}
}

func TestNoBusIsNoTrouble(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	if err := WatchSleep(t.Context(), func() { t.Error("locked") }); err == nil {
		t.Error("watches a bus that is not there")
	}
	_, c := start(t, Config{Sleep: WatchSleep})
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
}

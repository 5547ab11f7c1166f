package app

import (
	"net"
	"path/filepath"
	"testing"
)

func TestNotifyInit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skip("SKIPPED: no datagram sockets here: ", err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	notifyInit("READY=1")
	buf := make([]byte, 64)
	n, err := l.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", path+".nobody")
	notifyInit("READY=1") // returns
	t.Setenv("NOTIFY_SOCKET", "")
	notifyInit("READY=1")
}

package app

import (
	"net"
	"os"
	"strings"
)

// notifyInit tells the program that started this one, if it asked by NOTIFY_SOCKET as
// systemd does (sd_notify(3)), what has come about: "READY=1", "STOPPING=1". Nobody
// to tell is no error; neither is one who does not listen.
func notifyInit(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	_, _ = c.Write([]byte(state))
	_ = c.Close()
}

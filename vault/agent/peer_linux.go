package agent

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const supported = true

// peer is the process at the other end. Errors wrap ErrPeer when it is another
// user's; root is not an exception, because root does not need us.
func peer(c *net.UnixConn) (pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var e error
	if err := raw.Control(func(fd uintptr) { cred, e = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if e != nil {
		return 0, fmt.Errorf("%w: %v", ErrPeer, e)
	}
	if int(cred.Uid) != os.Geteuid() {
		return 0, fmt.Errorf("%w: %d, want %d", ErrPeer, cred.Uid, os.Geteuid())
	}
	return int(cred.Pid), nil
}

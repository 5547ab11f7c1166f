package agent

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const supported = true

// peer checks the user at the other end. Errors wrap ErrPeer. The process id is
// not asked for.
func peer(c *net.UnixConn) (pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Xucred
	var e error
	if err := raw.Control(func(fd uintptr) { cred, e = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED) }); err != nil {
		return 0, err
	}
	if e != nil {
		return 0, fmt.Errorf("%w: %v", ErrPeer, e)
	}
	if int(cred.Uid) != os.Geteuid() {
		return 0, fmt.Errorf("%w: %d, want %d", ErrPeer, cred.Uid, os.Geteuid())
	}
	return 0, nil
}

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cipherdeck/ui/app"
	"cipherdeck/ui/plain"
)

// errNo is every answer but yes.
var errNo = errors.New("the answer was not yes")

// maxAnswer bounds what is read of one.
const maxAnswer = 64

// terminalYes asks for a yes on the terminal of this process, or is nil where
// there is none or this process is in the background: then a question would
// stop it.
func terminalYes() app.AskYes {
	tty, err := foreground()
	if err != nil {
		return nil
	}
	tty.Close()
	return askYes
}

// foreground opens our terminal, if it listens to us.
func foreground() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	group := -1
	err = control(tty, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	if err == nil && group != unix.Getpgrp() {
		err = errors.New("another program has the terminal")
	}
	if err != nil {
		tty.Close()
		return nil, err
	}
	return tty, nil
}

func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// askYes waits for an answer until ctx ends. What was typed before the question
// is no answer to it.
func askYes(ctx context.Context, question string) error {
	tty, err := foreground()
	if err != nil {
		return err
	}
	defer tty.Close()
	if err := tty.SetReadDeadline(time.Time{}); err != nil {
		return err // it could not be stopped
	}
	defer context.AfterFunc(ctx, func() { _ = tty.SetReadDeadline(time.Unix(1, 0)) })()
	_ = control(tty, func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) })
	fmt.Fprintf(tty, "%s [y/N] ", plain.Text(question))
	line, err := bufio.NewReader(io.LimitReader(tty, maxAnswer)).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		if err == nil && ctx.Err() == nil {
			fmt.Fprintln(tty, "allowed")
			return nil
		}
	}
	fmt.Fprintln(tty, "refused")
	return errors.Join(errNo, err)
}

//go:build unix

package app

import (
	"os/exec"
	"syscall"
)

// alone gives a program a group of its own, which is killed as a whole: a
// script's dialog must not stay on the screen when its answer counts no more.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

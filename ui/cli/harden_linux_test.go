package cli_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// nobody is the user that some tests run the program as, when they are root:
// root may do what the system would refuse.
const nobody = 65534

// asNobody makes a folder and a copy of the program that nobody may use, and
// returns how to run commands there. Without root they run as whoever we are.
func asNobody(t *testing.T) (dir, exe string, cred *syscall.SysProcAttr) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nobody") // t.TempDir is in a folder that others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe = filepath.Join(dir, "program")
	body, err := os.ReadFile(program())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, body, 0o755); err != nil {
		t.Fatal(err)
	}
	cred = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cred.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return dir, exe, cred
}

// ownerOf is who may look into a process: root alone, if it is undumpable
// (proc(5)), else its user.
func ownerOf(t *testing.T, pid int) uint32 {
	t.Helper()
	fi, err := os.Stat(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Uid
}

// The agent's memory and environment cannot be read by other processes of its
// user, and it leaves no core.
func TestAgentIsHardened(t *testing.T) {
	dir, exe, cred := asNobody(t)
	start := func(name string, words ...string) (int, *bufio.Reader) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, words...)
		cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir}, dir, cred
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd.Process.Pid, bufio.NewReader(out)
	}
	control, said := start("sh", "-c", "echo here; exec sleep 100000")
	if _, err := said.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if ownerOf(t, control) == 0 {
		t.Skip("SKIPPED, NOT TESTED: this system shows every process as root's")
	}
	pid, said := start(exe, "agent")
	line, err := said.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "listening") {
		t.Fatalf("%q %v", line, err)
	}
	if ownerOf(t, pid) != 0 {
		t.Error("others of the same user may read the agent")
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil || !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("core dumps: %v\n%s", err, limits)
	}
}

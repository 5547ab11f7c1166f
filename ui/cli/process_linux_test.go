package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal that never answers a question, and returns
// our side and the program's.
func terminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED: no pseudo-terminal: %v", err)
	}
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// On a terminal that answers nothing a command must neither ask it anything
// nor wait: not for its background colour, not for where the cursor is.
func TestSilentTerminal(t *testing.T) {
	for _, words := range [][]string{{"--version"}, {"help"}, {"help", "run"}, {"words"}, {"vault", "unlock", "--json"}, {"vault", "unlock"}, {"no-such-command"}} {
		t.Run(strings.Join(words, "_"), func(t *testing.T) {
			ours, theirs := terminal(t)
			defer ours.Close()
			ctx, cancel := context.WithTimeout(t.Context(), guard)
			defer cancel()
			cmd := exec.CommandContext(ctx, program(), words...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "TERM=xterm-256color", "COLORTERM=truecolor"}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			var said bytes.Buffer
			io.Copy(&said, ours) // ends with EIO when the last holder of the other side is gone
			cmd.Wait()
			if ctx.Err() != nil {
				t.Fatalf("it did not end; it said %q", said.String())
			}
			if said.Len() == 0 {
				t.Error("it said nothing at all")
			}
			if strings.ContainsAny(said.String(), "\x1b\u009b") {
				t.Errorf("escape sequences: %q", said.String())
			}
		})
	}
}

// ctrl-C at a question ends the command at once, and the terminal shows again
// what is typed.
func TestQuestionCanBeLeft(t *testing.T) {
	home := t.TempDir()
	if _, bad, code := prog(t, []string{"CIPHERDECK_PASSPHRASE=a long enough phrase"}, "vault", "init", "alice", "--home", home, "--unlock-time", "20ms"); code != 0 {
		t.Fatal(bad)
	}
	for name, words := range map[string][]string{
		"passphrase":     {"vault", "unlock", "--home", home},
		"new passphrase": {"vault", "init", "bob", "--home", t.TempDir()},
		"on paper":       {"vault", "recover", "--home", home},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := terminal(t)
			defer ours.Close()
			defer theirs.Close()
			ctx, cancel := context.WithTimeout(t.Context(), guard)
			defer cancel()
			cmd := exec.CommandContext(ctx, program(), words...)
			cmd.Env = []string{"HOME=" + home, "TERM=xterm-256color"}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said := bufio.NewReader(ours)
			if _, err := said.ReadString(':'); err != nil {
				t.Fatal(err)
			}
			echo := func() bool {
				m, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
				if err != nil {
					t.Fatal(err)
				}
				return m.Lflag&unix.ECHO != 0
			}
			for echo() { // the prompt comes before the silence
				if ctx.Err() != nil {
					t.Fatal("what is typed would be shown")
				}
			}
			ours.Write([]byte{3})
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 130 {
				t.Errorf("exit code %d, want 130", code)
			}
			if !echo() {
				t.Error("the terminal was left silent")
			}
		})
	}
}

// What cannot be printed is not done: a code that nobody saw may be the only
// one that opens the vault.
func TestFullOutputIsAFault(t *testing.T) {
	for _, words := range [][]string{{"words"}, {"words", "--json"}} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skipf("SKIPPED, NOT TESTED: %v", err)
		}
		cmd := exec.Command(program(), words...)
		cmd.Env, cmd.Stdout = []string{"HOME=" + t.TempDir()}, full
		err = cmd.Run()
		full.Close()
		if err == nil {
			t.Errorf("%v: exit code 0", words)
		}
	}
}

// children lists the processes that pid started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if parent, _ := strconv.Atoi(rest[1]); parent == pid {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			out = append(out, n)
		}
	}
	return out
}

// playing starts the demonstration and waits until its processes run.
func playing(t *testing.T, tmp, marker string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program(), "demo", "--plain")
	cmd.Env = []string{"HOME=" + tmp, "TMPDIR=" + tmp, "CIPHERDECK_PASSPHRASE=" + marker}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("it ended before act 3: %v", err)
		}
		if strings.HasPrefix(line, "Act 3") {
			return cmd, r
		}
	}
}

// The passphrase in the environment is for this process, not for those that
// it starts: /proc/PID/environ is what a child was really given.
func TestPassphraseIsNotInherited(t *testing.T) {
	const marker = "marker words that only the parent may see"
	cmd, out := playing(t, t.TempDir(), marker)
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", cmd.Process.Pid))
	if err != nil || !bytes.Contains(own, []byte(marker)) {
		t.Fatalf("control: the parent's environment must have it: %v", err)
	}
	seen := 0
	for _, pid := range children(t, cmd.Process.Pid) {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || len(env) == 0 {
			continue
		}
		seen++
		if bytes.Contains(env, []byte(marker)) || bytes.Contains(env, []byte("CIPHERDECK_PASSPHRASE")) {
			t.Errorf("process %d inherited the passphrase", pid)
		}
	}
	if seen < 2 {
		t.Errorf("saw %d children, want the server and the node", seen)
	}
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demonstration: %v", err)
	}
}

// Interrupted, the demonstration still ends its processes and removes its
// scratch home; killed, its processes end by themselves.
func TestDemoCleansUp(t *testing.T) {
	for _, c := range []struct {
		sig  syscall.Signal
		code int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 130}, {syscall.SIGKILL, -1}} {
		t.Run(c.sig.String(), func(t *testing.T) {
			tmp := t.TempDir()
			cmd, out := playing(t, tmp, "")
			kids := children(t, cmd.Process.Pid)
			if len(kids) < 2 {
				t.Fatalf("children: %v", kids)
			}
			if err := cmd.Process.Signal(c.sig); err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, out)
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			gone(t, kids)
			left, _ := filepath.Glob(filepath.Join(tmp, "cipherdeck-demo-*"))
			if c.sig != syscall.SIGKILL && len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// gone waits until none of the processes runs.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for end := time.Now().Add(guard); ; pause() {
		var run []int
		for _, p := range pids {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p)); err == nil && bytes.Contains(b, []byte("cipherdeck")) {
				run = append(run, p)
			}
		}
		if len(run) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still running: %v", run)
		}
	}
}

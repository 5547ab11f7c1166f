package face_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

const openPass = "correct horse battery staple"

// desk is the workstation in a real terminal, on a vault of its own.
type desk struct {
	*terminal
	dir string
}

// sit starts it with more words for its environment, and makes the vault. The
// shell around it outlives a hang-up, to write down how the program ended.
func sit(t *testing.T, env ...string) *desk {
	t.Helper()
	return sitIn(t, "%s", env...)
}

// sitIn starts it with a shell's command around the command that starts it.
func sitIn(t *testing.T, around string, env ...string) *desk {
	t.Helper()
	d := &desk{dir: t.TempDir()}
	words := append([]string{"HOME=" + d.dir, "CIPHERDECK_HOME=" + d.dir + "/home", "CIPHERDECK_UNLOCK_TIME=1ms", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"}, env...)
	inner := fmt.Sprintf("cd %s; echo $$ > pid; trap : HUP; env %s %s; echo $? > code", d.dir, strings.Join(words, " "), build(t))
	if err := os.WriteFile(filepath.Join(d.dir, "run.sh"), []byte(inner+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.terminal = open(t, 90, 24, fmt.Sprintf(around, "sh "+d.dir+"/run.sh"))
	d.await("Create your vault")
	d.press("alice", "Tab")
	d.press(openPass, "Tab")
	d.press(openPass, "Enter")
	return d
}

// stays types a wrong passphrase: nothing but the right one opens it.
func (d *desk) stays() {
	d.t.Helper()
	d.press("wrong horse battery staple", "Enter")
	d.await("does not open", "locked: ")
}

func TestIdleWorkstationLocks(t *testing.T) {
	d := sit(t, "CIPHERDECK_LOCK_AFTER=3s")
	s := d.await("The vault is locked", "locked: idle for 3 s (", "Passphrase")
	if strings.Contains(s, "No projects yet") {
		t.Errorf("the projects are still in sight:\n%s", s)
	}
	d.stays()
}

// A machine that goes to sleep: logind's signal on a bus of the test's own.
func TestSleepLocksTheWorkstation(t *testing.T) {
	address, host := systemBus(t)
	l := &logind{asked: make(chan *os.File, 4)}
	if err := host.Export(l, "/org/freedesktop/login1", "org.freedesktop.login1.Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := host.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	d := sit(t, "CIPHERDECK_LOCK_AFTER=0", "'DBUS_SYSTEM_BUS_ADDRESS="+address+"'")
	delay, ours := <-l.asked, <-l.asked // it listens
	defer delay.Close()
	d.await("alice · unlocked")
	if err := host.Emit("/org/freedesktop/login1", "org.freedesktop.login1.Manager.PrepareForSleep", true); err != nil {
		t.Fatal(err)
	}
	d.await("The vault is locked", "locked: the machine went to sleep (", "Passphrase")
	ours.Close()
	if n, err := delay.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the machine is kept from sleeping: %d %v", n, err)
	}
	d.stays()
}

// logind stands for the service of that name.
type logind struct{ asked chan *os.File }

// Inhibit gives out one end of a pipe and keeps the other. The library sends
// the descriptor after we return and does not close it: ours must be the last
// but one.
func (l *logind) Inhibit(_, _, _, _ string) (dbus.UnixFD, *dbus.Error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	l.asked <- r
	l.asked <- w
	return dbus.UnixFD(w.Fd()), nil
}

// systemBus starts a dbus-daemon and connects to it.
func systemBus(t *testing.T) (address string, c *dbus.Conn) {
	t.Helper()
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: dbus-daemon is not installed (package dbus): locking before sleep")
	}
	dir, err := os.MkdirTemp("", "bus") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command(path, "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:path="+dir+"/bus")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if address, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	if c, err = dbus.Connect(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return address, c
}

// A terminal that goes away ends the program in its own way, which closes the
// vault: it is not killed by the signal, and leaves nothing running.
func TestHangUpEndsTheWorkstation(t *testing.T) {
	for name, around := range map[string]string{
		"by signal: the leader of the session dies":  "%s; :",
		"no signal: the leader of the session stays": "exec %s",
	} {
		t.Run(name, func(t *testing.T) { hangUp(t, sitIn(t, around)) })
	}
}

func hangUp(t *testing.T, d *desk) {
	d.await("alice · unlocked")
	raw, err := os.ReadFile(filepath.Join(d.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	shell, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	end, err := unix.PidfdOpen(shell, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(end)
	d.press("2") // it is really at work
	d.tmux("kill-pane", "-t", "w")
	ready := []unix.PollFd{{Fd: int32(end), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(ready, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("it goes on without its terminal: %d %v", n, err)
		}
		break
	}
	code, err := os.ReadFile(filepath.Join(d.dir, "code"))
	if err != nil || strings.TrimSpace(string(code)) != "130" {
		t.Errorf("it ended with %q, %v; want 130: closed, not killed", code, err)
	}
}

// A vault that was put back from an older copy is told of on the screen, too.
func TestOlderCopyIsToldInTheWorkstation(t *testing.T) {
	dir := t.TempDir()
	vault := filepath.Join(dir, "home", "vault.cdv")
	env := []string{"HOME=" + dir, "CIPHERDECK_HOME=" + dir + "/home", "CIPHERDECK_UNLOCK_TIME=1ms", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"}
	run := func(words ...string) {
		t.Helper()
		c := exec.Command(build(t), words...)
		c.Env = append(env[:len(env):len(env)], "CIPHERDECK_PASSPHRASE="+openPass)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, out)
		}
	}
	run("vault", "init", "alice")
	old, err := os.ReadFile(vault)
	if err != nil {
		t.Fatal(err)
	}
	run("vault", "recovery") // a newer save
	if err := os.WriteFile(vault, old, 0o600); err != nil {
		t.Fatal(err)
	}
	m := open(t, 100, 30, fmt.Sprintf("env %s %s", strings.Join(env, " "), build(t)))
	m.await("Unlock", "Passphrase")
	m.press(openPass, "Enter")
	m.await("Take note", "OLDER copy", "alice · unlocked")
	m.press("Escape")
	m.await("No projects yet", "1 Projects")
}

package face_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const shownValue = "s3cr3t-value-4711"

// withSecret is a home with a vault and one secret, and the command's prefix that
// uses it.
func withSecret(t *testing.T, exe string) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	env := append(os.Environ(), "CIPHERDECK_HOME="+home, "XDG_STATE_HOME="+home, "CIPHERDECK_PASSPHRASE=correct horse battery staple", "CIPHERDECK_UNLOCK_TIME=1ms")
	for _, line := range []string{"vault init alice", "secret put n --kind note --stdin text"} {
		cmd := exec.Command(exe, append(strings.Fields(line), "--no-agent")...)
		cmd.Env, cmd.Stdin = env, strings.NewReader(shownValue)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	return "env CIPHERDECK_HOME=" + home + " XDG_STATE_HOME=" + home + " CIPHERDECK_PASSPHRASE='correct horse battery staple' " + exe
}

// A secret is on the screen until a key is pressed or its time is over, and then
// nowhere, not in what can be scrolled back to either.
func TestSecretIsShownForATime(t *testing.T) {
	exe := build(t)
	prefix := withSecret(t, exe)
	for _, c := range []struct{ life, key string }{{"60s", "x"}, {"1s", ""}} {
		m := open(t, 80, 24, "echo before; "+prefix+" secret show n text --for "+c.life+" --no-agent; echo exit code $?; cat")
		if c.key != "" {
			m.await(shownValue, "any key hides it")
			m.press(c.key)
		}
		m.await("before", "exit code 0")
		if all := m.tmux("capture-pane", "-p", "-S", "-", "-t", "w"); strings.Contains(all, shownValue) {
			t.Fatalf("it can be scrolled back to:\n%s", all)
		}
	}
	if out, err := exec.Command("sh", "-c", prefix+" secret show n text --no-agent").Output(); err != nil || string(out) != shownValue+"\n" {
		t.Errorf("to a pipe: %q, %v", out, err)
	}
	out, err := exec.Command("sh", "-c", prefix+" secret journal n --no-agent").Output()
	if err != nil || strings.Count(string(out), "shown") != 3 || strings.Contains(string(out), shownValue) {
		t.Errorf("journal: %s, %v", out, err)
	}
}

// A secret is lent to the clipboard and taken back: by tmux's own buffer, by the
// terminal's escape sequence, and by X11.
func TestSecretIsLentToTheClipboard(t *testing.T) {
	exe := build(t)
	prefix := withSecret(t, exe)
	buffers := func(m *terminal) string {
		out, _ := exec.Command("tmux", "-S", m.socket, "list-buffers", "-F", "#{buffer_sample}").CombinedOutput()
		return string(out)
	}
	t.Run("tmux", func(t *testing.T) {
		m := open(t, 80, 24, prefix+" secret copy n text --for 60s --no-agent; echo exit code $?; cat")
		m.await("in the clipboard (tmux)")
		if b := buffers(m); !strings.Contains(b, shownValue) {
			t.Fatalf("not in tmux's buffer: %q", b)
		}
		m.press("C-c")
		m.await("exit code")
		if b := buffers(m); strings.Contains(b, shownValue) {
			t.Fatalf("not taken back: %q", b)
		}
	})
	t.Run("escape sequence", func(t *testing.T) {
		m := open(t, 80, 24, "env -u TMUX SSH_TTY=/dev/pts/0 "+prefix+" secret copy n text --for 1s --no-agent; echo exit code $?; cat")
		m.tmux("set-option", "-s", "set-clipboard", "on")
		m.await("exit code 0")
		if first, _, _ := strings.Cut(buffers(m), "\n"); first != " " {
			t.Fatalf("the newest buffer is not the blank that takes its place: %q", buffers(m))
		}
	})
	t.Run("X11", func(t *testing.T) {
		for _, p := range []string{"Xvfb", "xclip"} {
			if _, err := exec.LookPath(p); err != nil {
				t.Skipf("SKIPPED, NOT TESTED: %s is not installed", p)
			}
		}
		display := startX(t)
		read := func() string {
			cmd := exec.Command("xclip", "-selection", "clipboard", "-o")
			cmd.Env = append(os.Environ(), "DISPLAY="+display)
			out, _ := cmd.Output()
			return string(out)
		}
		m := open(t, 80, 24, "env -u TMUX DISPLAY="+display+" "+prefix+" secret copy n text --for 60s --no-agent; echo exit code $?; cat")
		m.await("in the clipboard (xclip)")
		if got := read(); got != shownValue {
			t.Fatalf("clipboard: %q", got)
		}
		m.press("C-c")
		m.await("exit code")
		if got := read(); strings.Contains(got, shownValue) {
			t.Fatalf("not taken back: %q", got)
		}
	})
}

// startX runs an X server without a screen; it tells its display when it is ready.
func startX(t *testing.T) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "640x480x8", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var n strings.Builder
	b := make([]byte, 1)
	for {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("Xvfb did not start: %v", err)
		}
		if b[0] == '\n' {
			return ":" + n.String()
		}
		n.Write(b)
	}
}

// What is no secret is typed in sight, once; what is one, out of sight and twice.
func TestSecretIsAskedForOutOfSight(t *testing.T) {
	exe := build(t)
	prefix := withSecret(t, exe)
	m := open(t, 80, 24, prefix+" secret put door --kind login --no-agent; echo exit code $?; cat")
	m.await("username of door")
	m.press("ana@lab", "Enter")
	m.await("username of door: ana@lab", "password of door")
	m.press("0pen sesame", "Enter")
	m.await("password of door again")
	m.press("0pen sesame", "Enter")
	if s := m.await("exit code 0"); strings.Contains(s, "sesame") || strings.Contains(s, "username of door again") {
		t.Errorf("a secret is in sight, or a name was asked for twice:\n%s", s)
	}
}

package face_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAgentAsksOnItsTerminal holds a key so that each use is confirmed, with the
// agent in the foreground of a real terminal.
func TestAgentAsksOnItsTerminal(t *testing.T) {
	dir, err := os.MkdirTemp("", "agent") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	env := []string{"HOME=" + dir, "CIPHERDECK_HOME=" + dir + "/home", "XDG_RUNTIME_DIR=" + dir, "CIPHERDECK_UNLOCK_TIME=1ms", "PATH=" + os.Getenv("PATH")}
	exe := build(t)
	command := func(words string, more ...string) *exec.Cmd {
		c := exec.Command("setsid", append([]string{"-w", exe}, strings.Fields(words)...)...)
		c.Env = append(env[:len(env):len(env)], more...)
		return c
	}
	must := func(words string) {
		t.Helper()
		if out, err := command(words, "CIPHERDECK_PASSPHRASE="+openPass).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", words, err, out)
		}
	}
	must("vault init alice")
	m := open(t, 180, 40, fmt.Sprintf("env %s %s agent", strings.Join(env, " "), exe))
	m.await("listening", "confirms=true")
	must("agent unlock --confirm")

	// use opens the vault while somebody answers.
	use := func(answer ...string) (string, error) {
		t.Helper()
		c := command("vault unlock --json")
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		c.Stdout = out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// setsid becomes the program: it is no leader of a group.
		m.await(fmt.Sprintf("“cipherdeck vault unlock” (process %d) wants to open vault ", c.Process.Pid))
		m.press(answer...)
		err = c.Wait()
		b, _ := os.ReadFile(out.Name())
		return string(b), err
	}
	if out, err := use("y", "Enter"); err != nil || !strings.Contains(out, `"opened_by":"agent"`) {
		t.Fatalf("yes: %v\n%s", err, out)
	}
	m.await("[y/N] y", "allowed")
	m.press("y", "Enter", "y", "Enter", "now") // typed before the question: no answer to it
	m.await("now")
	if out, err := use("n", "Enter"); err == nil || !strings.Contains(out, "not-confirmed") {
		t.Fatalf("no: %v\n%s", err, out)
	}
	m.await("refused")
	if out, err := use("Enter"); err == nil || !strings.Contains(out, "not-confirmed") {
		t.Fatalf("nothing: %v\n%s", err, out)
	}
}

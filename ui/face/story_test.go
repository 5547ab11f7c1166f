package face_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long the test waits for a text before it gives up.
const patience = 30 * time.Second

// terminal is a real terminal (tmux) with the real program in it.
type terminal struct {
	t       *testing.T
	socket  string
	changed chan struct{} // receives when the screen changed
}

// bin is the folder of the real program, once it is built.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "cipherdeck-face-test-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(bin)
		return m.Run()
	}())
}

var built = sync.OnceValues(func() (string, error) {
	exe := filepath.Join(bin, "cipherdeck")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", exe, "cipherdeck")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build: %v\n%s", err, out)
	}
	return exe, err
})

// build makes the real program once.
func build(t *testing.T) string {
	t.Helper()
	exe, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// open runs command in a terminal of that size.
func open(t *testing.T, width, height int, command string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("SKIPPED, LOUDLY: tmux is not installed, so the workstation was not tried in a real terminal")
	}
	m := &terminal{t: t, socket: filepath.Join(t.TempDir(), "tmux"), changed: make(chan struct{}, 1)}
	m.tmux("-f", "/dev/null", "new-session", "-d", "-s", "w", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), command)
	t.Cleanup(func() { exec.Command("tmux", "-S", m.socket, "kill-server").Run() })
	m.follow()
	return m
}

func (m *terminal) tmux(args ...string) string {
	m.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", m.socket}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// follow listens to tmux's control mode, which says a line for every change:
// so the test waits for the screen and never sleeps.
func (m *terminal) follow() {
	m.t.Helper()
	cmd := exec.Command("tmux", "-S", m.socket, "-C", "attach-session", "-t", "w")
	hold, err := cmd.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { hold.Close(); cmd.Wait() })
	go func() {
		r := bufio.NewReader(out)
		for {
			if _, err := r.ReadString('\n'); err != nil {
				close(m.changed)
				return
			}
			select {
			case m.changed <- struct{}{}:
			default:
			}
		}
	}()
}

func (m *terminal) screen() string { return m.tmux("capture-pane", "-p", "-t", "w") }

// await waits until the screen shows all of texts, and returns it.
func (m *terminal) await(texts ...string) string {
	m.t.Helper()
	late := time.After(patience)
	for {
		s := m.screen()
		if missing(s, texts) == "" {
			return s
		}
		select {
		case _, ok := <-m.changed:
			if !ok {
				m.t.Fatalf("the terminal closed; %q never came:\n%s", missing(s, texts), s)
			}
		case <-late:
			m.t.Fatalf("%q did not come:\n%s", missing(s, texts), s)
		}
	}
}

func missing(screen string, texts []string) string {
	for _, x := range texts {
		if !strings.Contains(screen, x) {
			return x
		}
	}
	return ""
}

func (m *terminal) press(keys ...string) {
	m.tmux(append([]string{"send-keys", "-t", "w"}, keys...)...)
}

// TestStoryOfTheDemo plays all six acts in the workstation, as a newcomer
// would: start, press the key that the screen names, read.
func TestStoryOfTheDemo(t *testing.T) {
	exe := build(t)
	scratch := t.TempDir()
	m := open(t, 120, 40, exe+" demo --scratch "+scratch+"; echo exit code $?; cat")
	m.await("Compute on data nobody else can read", "next: Act 1 Vault", "press ctrl+n or space")

	m.press("C-n")
	m.await("Act 1  Vault  ✓ done", "a wrong passphrase does not open it", "next: Act 2")
	m.press("C-n")
	m.await("Act 2  Seal  ✓ done", "none of them in the", "next: Act 3")
	m.press("Escape")
	m.await("tumour-board", "wdbc.csv", "569", "logreg.onnx")
	m.press("C-n")
	m.await("Act 3  Attest  ✓ done", "next: Act 4")
	m.press("Escape")
	m.await("SOFTWARE ~ demo", "~ software", "? not checked", "✓ pass", "a lying host could")
	m.press("C-n")
	m.await("Act 4  Score blind  ✓ done", "AUC encrypted 0.9968 = AUC clear 0.9968", "(replicated)", "next: Act 5")
	m.press("C-n")
	m.await("Act 5  Two cheats  ✓ done", `event 0 "binary"`, `event 1 "config"`, "0 payload bytes were sent", "REJECTED", "next: Act 6")
	m.press("Escape")
	m.await("q quit")
	m.press("2")
	m.await("changed-program", "REFUSED")
	m.press("3")
	m.await("REJECTED")
	m.press("C-n")
	m.await("Act 6  Share and revoke  ✓ done", "bob's keys open epoch 1 of 2")
	m.press("Escape")
	m.await("the story is told", "tab next pane")
	m.press("q")
	s := m.await("Act 6  Share and revoke", "Removed: ", "exit code 0")
	if !regexp.MustCompile(`(?s)✓ Act 1.*✓ Act 2.*✓ Act 3.*✓ Act 4.*✓ Act 5.*✓ Act 6`).MatchString(s) {
		t.Errorf("not all acts are good:\n%s", s)
	}
	if left, _ := filepath.Glob(filepath.Join(scratch, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestStoryByHand creates a vault and locks it again by hand, at 80 columns.
func TestStoryByHand(t *testing.T) {
	exe := build(t)
	m := open(t, 80, 24, "env CIPHERDECK_HOME="+filepath.Join(t.TempDir(), "home")+" "+exe)
	m.await("Create your vault")
	m.press("alice", "Tab")
	m.press("correct horse battery staple", "Tab")
	m.press("correct horse battery staple", "Enter")
	m.await("alice · unlocked", "No projects yet")
	m.press("C-l")
	m.await("The vault is locked.") // "locked" alone is in "unlocked" too
	m.press("wrong horse battery staple", "Enter")
	m.await("does not open")
	if s := m.screen(); strings.Contains(s, "horse") {
		t.Fatalf("a passphrase is on the screen:\n%s", s)
	}
}

package face_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// site is a server, started and stopped by the test, and a vault that pinned it.
type site struct {
	t    *testing.T
	exe  string
	dir  string
	addr string
	env  []string
	stop func()
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, exe: build(t), dir: t.TempDir(), addr: "127.0.0.1:0"}
	s.env = append(os.Environ(), "CIPHERDECK_HOME="+s.dir+"/home", "XDG_STATE_HOME="+s.dir, "CIPHERDECK_PASSPHRASE="+openPass, "CIPHERDECK_UNLOCK_TIME=1ms")
	if err := os.Mkdir(s.dir+"/srv", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.dir+"/other.json", []byte(`{"rate_burst": 77}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("vault", "init", "alice")
	signer := regexp.MustCompile(`signer (\S+)`).FindStringSubmatch(s.run("manifest", "make", "-o", "srv/manifest.bin", "--key", "signer.key"))
	if signer == nil {
		t.Fatal("no signer")
	}
	code := s.serve()
	s.addr, _, _ = strings.Cut(code, "#")
	s.run("server", "add", code, "--signer", signer[1], "--root", "software")
	return s
}

func (s *site) run(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.exe, append(args, "--no-agent")...)
	cmd.Env, cmd.Dir = s.env, s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// serve starts the server and returns its pairing code.
func (s *site) serve(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.exe, append([]string{"serve", "--data", "srv", "--listen", s.addr}, args...)...)
	cmd.Env, cmd.Dir = s.env, s.dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	s.stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-done
		_ = cmd.Wait()
	}
	s.t.Cleanup(func() { s.stop() })
	code, lines := "", bufio.NewScanner(out)
	for code == "" && lines.Scan() {
		if m := regexp.MustCompile(`code[=:" ]+(\S+#[A-Za-z0-9_-]+)`).FindStringSubmatch(lines.Text()); m != nil {
			code = m[1]
		}
	}
	if code == "" {
		s.t.Fatal("the server did not say its code")
	}
	go func() {
		defer close(done)
		for lines.Scan() { // or it could not write
		}
	}()
	return code
}

// again restarts it with other arguments.
func (s *site) again(args ...string) {
	s.t.Helper()
	s.stop()
	s.serve(args...)
}

// TestStoryOfAttestation asks a server, sees it change under the same manifest,
// finds the first event that differs, lets it work again, and bends its evidence.
func TestStoryOfAttestation(t *testing.T) {
	s := newSite(t)
	m := open(t, 120, 40, "env -u CIPHERDECK_PASSPHRASE CIPHERDECK_HOME="+s.dir+"/home XDG_STATE_HOME="+s.dir+" HOME="+filepath.Join(s.dir, "nobody")+" DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent "+s.exe)
	m.await("The vault is locked")
	m.press(openPass, "Enter")
	m.await("unlocked")
	m.press("2")
	m.await("? not asked", "asks it now")
	m.press("a")
	m.await("~ demo", "SOFTWARE ~ demo", "✓ pass", "a lying host could")
	m.press("Enter", "j", "j")
	m.await("what it does NOT show", "evidence:")

	s.again("--config", "other.json")
	m.press("a")
	m.await("✗ REFUSED", "log.events", "is not as with its last good verdict: PCR 14")
	m.press("p")
	m.await("! not as with the last good verdict", "event 1: application config", " 14!")
	m.press("i")
	m.await("jobs are suspended: log.events", "eight words", "REFUSED", "median")

	s.again()
	m.press("a")
	m.await("SOFTWARE ~ demo", "! on hold", "jobs are suspended: log.events", "good again")
	m.press(":")
	m.press("resume")
	m.await("Let jobs go to a server again")
	m.press("Enter")
	m.await("Sure?")
	m.press("Space", "Enter")
	m.await("a person resumed it")

	m.press("t")
	m.await("One bit flipped", "✗ quote.signature", "✗ quote.pcrs", "no journal is pinned")
	m.press("y")
	m.await("nothing to copy")
	m.press("c", "y")
	m.await("copied link")
}

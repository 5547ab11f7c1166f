package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cipherdeck/ui/action"
)

// prog runs the program in a home of its own, without a terminal, and returns
// what it said and its exit code.
func prog(t *testing.T, env []string, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(), words...)
	dir := t.TempDir()
	cmd.Dir = dir
	cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir}, env...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	err := cmd.Run()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return out.String(), bad.String(), cmd.ProcessState.ExitCode()
}

func TestHelpOfEveryCommand(t *testing.T) {
	list, _, _ := prog(t, nil, "help")
	for _, a := range action.All() {
		words := strings.Fields(a.Command())
		asked, _, c1 := prog(t, nil, append([]string{"help"}, words...)...)
		flag, _, c2 := prog(t, nil, append(words, "--help")...)
		if c1 != 0 || c2 != 0 || asked != flag {
			t.Errorf("%s: exit %d and %d; help COMMAND and COMMAND --help must say the same", a.ID, c1, c2)
		}
		flat := strings.Join(strings.Fields(asked), " ")
		for _, want := range []string{a.Title, "cipherdeck " + a.Usage(), a.Help} {
			if !strings.Contains(flat, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: help does not say %q", a.ID, want)
			}
		}
		for line := range strings.Lines(asked) {
			if a.Help != "" && strings.HasPrefix(line, a.Help[:10]) && len(line) > 81 {
				t.Errorf("%s: a line of help is wider than 80: %q", a.ID, line)
			}
		}
		if listed := strings.Contains(list, "cipherdeck "+a.Command()+" "); listed == a.Hidden {
			t.Errorf("%s: hidden is %v, in the list is %v", a.ID, a.Hidden, listed)
		}
		if raw, _, code := prog(t, nil, append(words, "--help", "--json")...); code != 0 {
			t.Errorf("%s --help --json: exit %d", a.ID, code)
		} else if _, err := answer(raw); err != nil {
			t.Errorf("%s --help --json: %v", a.ID, err)
		}
	}
}

// Every command answers with one JSON object, whatever is missing. The ones
// that would run for long are given a flag that is not there.
func TestEveryCommandAnswersInJSON(t *testing.T) {
	for _, a := range action.All() {
		words := append(strings.Fields(a.Command()), "--json")
		if a.Daemon || a.ID == "demo" {
			words = append(words, "--no-such-flag")
		}
		out, bad, code := prog(t, nil, words...)
		m, err := answer(out)
		if err != nil {
			t.Errorf("%v: %v\n%s", words, err, out)
			continue
		}
		if e, _ := field(m, "error.exit"); m["ok"] == (code != 0) || code != 0 && e != float64(code) {
			t.Errorf("%v: exit code %d, answer %v", words, code, m)
		}
		if bad != "" {
			t.Errorf("%v: standard error with --json: %q", words, bad)
		}
	}
}

// A name that was never seen must not be able to write on the terminal, also
// in JSON, where C1 controls and bidirectional marks would pass as they are.
func TestNothingFromOutsideReachesTheTerminal(t *testing.T) {
	for _, bad := range []string{"\x1b[31m", "\u009b31m", "\x9b31m", "\x07", "\r", "\u202egnp", "\u2066", "\U000e0041", "\x7f", "\u200b"} {
		for _, words := range [][]string{{bad}, {"inspect", bad}, {"plan", bad, bad}, {"vault", "init", bad}, {"help", bad}, {"server", "add", bad}} {
			for _, mode := range []string{"--json", "--quiet"} {
				out, err, code := prog(t, []string{"CIPHERDECK_PASSPHRASE=some long passphrase of words"}, append(words, mode)...)
				if code == 0 {
					t.Errorf("%q: not refused", words)
				}
				if strings.Contains(out+err, bad) || strings.ContainsAny(out+err, "\x1b\u009b\x07\r\u202e\u2066\x7f\u200b") {
					t.Errorf("%q %s: printed %q %q", words, mode, out, err)
				}
			}
		}
	}
}

// The scratch folder that a user names is hers: the demonstration removes what
// it made in it and nothing else.
func TestDemoLeavesAGivenFolderAlone(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine.txt")
	if err := os.WriteFile(mine, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, bad, code := prog(t, nil, "demo", "--plain", "--scratch", dir)
	if code != 0 {
		t.Fatalf("exit %d: %s %s", code, out, bad)
	}
	b, err := os.ReadFile(mine)
	if err != nil || string(b) != "precious" {
		t.Errorf("the file that was there: %q, %v", b, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cipherdeck/crypto/progress"
)

// exe is the program as it is shipped: the processes of a stage are it.
var exe string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "cipherdeck-demo-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		exe = filepath.Join(dir, "cipherdeck")
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", exe, "cipherdeck")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("build: %v\n%s", err, out))
		}
		return m.Run()
	}())
}

// stage plays the acts up to and including last, which must all succeed.
func stage(t *testing.T, last int) *Stage {
	t.Helper()
	s, err := Open(Options{Exe: exe, Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, a := range Acts()[:last] {
		if r, err := Perform(t.Context(), s, a, progress.Discard{}); err != nil {
			t.Fatalf("act %d: %v\n%s", a.Number, err, lines(r))
		}
	}
	return s
}

// act plays one act, whatever comes of it.
func act(t *testing.T, s *Stage, n int) (*Report, error) {
	t.Helper()
	return Perform(t.Context(), s, Acts()[n-1], progress.Discard{})
}

// scratch is a teller whose report nobody reads.
func scratch() *teller { return &teller{r: &Report{Figures: map[string]any{}}} }

func lines(r *Report) string {
	var b strings.Builder
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "%s %s\n", l.Mark.Glyph(), l.Text)
	}
	return b.String()
}

// mustFail demands that something did not do what it should, and that the
// report of an act shows it.
func mustFail(t *testing.T, what string, r *Report, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: nothing failed", what)
		return
	}
	if r != nil && (r.OK || !strings.Contains(lines(r), Bad.Glyph())) {
		t.Errorf("%s: the report does not show it:\n%s", what, lines(r))
	}
}

func TestAllActsInProcess(t *testing.T) {
	s := stage(t, 6)
	home := s.Home
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the scratch home is still there: %v", err)
	}
}

// play runs the program's own demonstration.
func play(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), exe, append([]string{"demo"}, args...)...)
	tmp := t.TempDir()
	cmd.Env = []string{"HOME=" + tmp, "TMPDIR=" + tmp}
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	err := cmd.Run()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(tmp, "*"))
	keep := false
	for _, a := range args {
		keep = keep || a == "--keep"
	}
	if keep != (len(left) == 1) || !keep && len(left) > 0 {
		t.Errorf("demo %v left %v", args, left)
	}
	if keep {
		for _, f := range []string{"alice/vault.cdv", "bob/vault.cdv", "server/blobs", "demo-signer.key"} {
			if _, err := os.Stat(filepath.Join(left[0], f)); err != nil {
				t.Error(err)
			}
		}
	}
	return out.String(), bad.String(), cmd.ProcessState.ExitCode()
}

func TestPlainKeepsWhenAsked(t *testing.T) {
	out, bad, code := play(t, "--plain", "--keep")
	if code != 0 || bad != "" {
		t.Fatalf("exit %d, standard error %q\n%s", code, bad, out)
	}
	at := 0
	for n := 1; n <= 6; n++ {
		i := strings.Index(out[at:], fmt.Sprintf("\nAct %d  ", n))
		if n == 1 {
			i = strings.Index(out, "Act 1  ")
		}
		if i < 0 {
			t.Fatalf("no heading of act %d after the one before it:\n%s", n, out)
		}
		at += i
	}
	for _, want := range []string{"demo signer", "software, demo", "not checked", "replicated", "base rate", "REJECTED", "0 payload bytes", "could forge"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demonstration does not say %q", want)
		}
	}
	if strings.ContainsAny(out, "\x1b\u009b") || strings.Contains(out, Bad.Glyph()) {
		t.Errorf("escapes or a failure in:\n%s", out)
	}
}

// figures is what --json prints.
type figures struct {
	V    int  `json:"v"`
	OK   bool `json:"ok"`
	Data struct {
		Acts []struct {
			Act     int            `json:"act"`
			OK      bool           `json:"ok"`
			Figures map[string]any `json:"figures"`
		} `json:"acts"`
		Seconds float64 `json:"seconds"`
	} `json:"data"`
}

// Two demonstrations at once, so that they could disturb each other.
func TestFiguresOfTwoAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	out := make([]string, 2)
	for i := range out {
		wg.Go(func() {
			var bad string
			var code int
			if out[i], bad, code = play(t, "--json"); code != 0 || bad != "" {
				t.Errorf("exit %d, standard error %q\n%s", code, bad, out[i])
			}
		})
	}
	wg.Wait()
	for _, o := range out {
		var f figures
		if err := json.Unmarshal([]byte(o), &f); err != nil || !f.OK || f.V != 1 || len(f.Data.Acts) != 6 {
			t.Fatalf("%v: %s", err, o)
		}
		for i, a := range f.Data.Acts {
			if a.Act != i+1 || !a.OK {
				t.Errorf("act %d is number %d, ok is %v", i+1, a.Act, a.OK)
			}
		}
		checkFigures(t, f)
	}
}

func checkFigures(t *testing.T, f figures) {
	t.Helper()
	get := func(act int, name string) float64 {
		v, ok := f.Data.Acts[act-1].Figures[name].(float64)
		if !ok {
			t.Errorf("act %d has no figure %q", act, name)
		}
		return v
	}
	if a, b := get(4, "auc_encrypted"), get(4, "auc_clear"); math.Round(a*1e4) != math.Round(b*1e4) || a < 0.9 || a > 1 {
		t.Errorf("AUC encrypted %v, clear %v", a, b)
	}
	if e, bound := get(4, "max_error"), get(4, "error_bound"); !(e > 0 && e <= bound) {
		t.Errorf("largest error %v, bound %v", e, bound)
	}
	for _, c := range []struct {
		act         int
		name        string
		least, most float64
	}{
		{2, "rows", 569, 569}, {2, "features", 30, 30}, {2, "markers_found", 0, 0}, {2, "markers", 40, 1e4},
		{4, "rows_scored", 171, 171}, {4, "base_rate", 0.3, 0.45}, {4, "replicated_rows", 20000, 1e6}, {4, "rows_per_second", 1, 1e9},
		{5, "binary_payload_bytes", 0, 0}, {5, "config_payload_bytes", 0, 0}, {5, "detection_probability", 0.999, 1},
		{6, "new_epoch", 2, 2}, {6, "could_read_items", 2, 2},
	} {
		if v := get(c.act, c.name); !(v >= c.least && v <= c.most) {
			t.Errorf("act %d, %s is %v, want %v to %v", c.act, c.name, v, c.least, c.most)
		}
	}
	for _, name := range []string{"binary_link", "config_link"} {
		if v := f.Data.Acts[4].Figures[name]; v != "log.events" {
			t.Errorf("%s is %v", name, v)
		}
	}
}

// A demonstration that is told to stop says so, and is no success.
func TestPerformReportsAnInterruption(t *testing.T) {
	s := stage(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := Perform(ctx, s, Acts()[1], progress.Discard{})
	mustFail(t, "a cancelled act", r, err)
}

// Package systemd_test holds the units of systemd against systemd itself.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// worst is the exposure that systemd-analyze security may find at most, of 10.
const worst = 1.5

// analyze copies the units aside with programs that are here, and runs
// systemd-analyze on them.
func analyze(t *testing.T, words ...string) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("SKIPPED: the systemd units are not verified: systemd-analyze is missing; apt-get install systemd")
	}
	dir := t.TempDir()
	all, err := filepath.Glob("*.[st]*[er]")
	if err != nil || len(all) != 4 {
		t.Fatalf("units: %v, %v", all, err)
	}
	var units []string
	for _, name := range all {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), "/usr/local/bin/cipherdeck", "/bin/true")
		text = regexp.MustCompile("(?m)^Documentation=.*\n").ReplaceAllString(text, "")
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if words[0] == "verify" || strings.HasSuffix(name, ".service") {
			units = append(units, path)
		}
	}
	cmd := exec.Command("systemd-analyze", append(words, units...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_PAGER=cat", "LC_ALL=C", "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

func TestUnitsAreValid(t *testing.T) {
	if out := analyze(t, "verify", "--man=no"); strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
}

func TestUnitsAreHardened(t *testing.T) {
	out := analyze(t, "security", "--offline=true", "--threshold="+strconv.Itoa(int(worst*10)))
	found := regexp.MustCompile(`Overall exposure level for (\S+): ([0-9.]+)`).FindAllStringSubmatch(out, -1)
	if len(found) != 3 {
		t.Fatalf("%d verdicts:\n%s", len(found), out)
	}
	for _, m := range found {
		if v, err := strconv.ParseFloat(m[2], 64); err != nil || v > worst {
			t.Errorf("%s is exposed at %s of 10, want at most %.1f\n%s", m[1], m[2], worst, out)
		}
		t.Logf("%s: exposure %s of 10", m[1], m[2])
	}
}

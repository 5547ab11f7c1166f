package ui_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPageOfTests keeps docs/tests.md true: every test that it names is a
// function of the package that it names.
func TestPageOfTests(t *testing.T) {
	page, err := os.ReadFile("../docs/tests.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	word := regexp.MustCompile("`([a-z0-9/]+)`|\\bTest[A-Za-z0-9]+")
	named := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 && len(cells) != 5 {
			continue
		}
		pkg := ""
		for _, m := range word.FindAllStringSubmatch(cells[len(cells)-2], -1) {
			if m[1] != "" {
				pkg = m[1]
				continue
			}
			if named++; !strings.Contains(testsOf(t, sources, pkg), "\nfunc "+m[0]+"(t *testing.T)") {
				t.Errorf("docs/tests.md names %s of %q, which is not there", m[0], pkg)
			}
		}
	}
	if named < 80 {
		t.Errorf("%d tests found in docs/tests.md: is it still a page of tables?", named)
	}
}

func testsOf(t *testing.T, sources map[string]string, pkg string) string {
	t.Helper()
	if text, known := sources[pkg]; known {
		return text
	}
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pkg), "*_test.go"))
	if err != nil || pkg == "" {
		t.Fatal(pkg, err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	sources[pkg] = all.String()
	return sources[pkg]
}

// TestEveryCaseHasARow: the page names each case of a verifier, with a test or
// the reason why there is none.
func TestEveryCaseHasARow(t *testing.T) {
	page, err := os.ReadFile("../docs/tests.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 71 {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \| (no row: .+ \|  \||.+ \| .*Test.+ \|)$`, i+1))
		if !row.Match(page) {
			t.Errorf("docs/tests.md has no row for case %d", i+1)
		}
	}
}

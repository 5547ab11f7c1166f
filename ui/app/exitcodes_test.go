package app

import (
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/exit-codes.md anew")

// exitConst is one Exit constant as the source has it.
type exitConst struct {
	name, meaning string
	code          int
}

// exitConsts reads the constants and their comments, so that the document
// cannot say something else than the source.
func exitConsts(t *testing.T) []exitConst {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var out []exitConst
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Exit") {
			return true
		}
		code, err := strconv.Atoi(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, exitConst{v.Names[0].Name, strings.TrimSpace(v.Comment.Text()), code})
		return true
	})
	return out
}

// code is everything that the rules say of one error code.
type code struct {
	exit           int
	meaning, cures []string
}

func codes(t *testing.T) map[string]*code {
	t.Helper()
	out := map[string]*code{"failed": {exit: ExitFailed, meaning: []string{"none of the others"}, cures: []string{failedCure}}}
	for _, r := range faultRules() {
		c := out[r.code]
		if c == nil {
			c = &code{exit: r.exit}
			out[r.code] = c
		}
		if c.exit != r.exit {
			t.Errorf("code %s has exit %d and %d", r.code, c.exit, r.exit)
		}
		c.meaning, c.cures = addOnce(c.meaning, r.is.Error()), addOnce(c.cures, r.cure)
	}
	return out
}

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// page is docs/exit-codes.md.
func page(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# Exit codes and error codes

Both are stable: a script may depend on them. With ` + "`--json`" + ` an error is
` + "`" + `{"v":1,"ok":false,"error":{"code":…,"field":…,"cause":…,"cure":…,"exit":…}}` + "`" + `.
This page is made from the source: ` + "`go test ./ui/app -run ExitCodes -update`" + `.

| exit | when |
|-----:|------|
`)
	for _, c := range exitConsts(t) {
		fmt.Fprintf(&b, "| %d | %s |\n", c.code, c.meaning)
	}
	b.WriteString("\n| code | exit | means | what to do |\n|------|-----:|-------|------------|\n")
	all := codes(t)
	var names []string
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		c := all[n]
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", n, c.exit, strings.Join(c.meaning, "; "), strings.Join(c.cures, "; or: "))
	}
	return b.String()
}

func TestExitCodesAreDocumented(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "exit-codes.md")
	want := page(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the source says; run: go test ./ui/app -run ExitCodes -update", path)
	}
}

func TestEveryExitCodeIsKnownAndEveryErrorHasACure(t *testing.T) {
	known := map[int]string{}
	for _, c := range exitConsts(t) {
		if known[c.code] != "" {
			t.Errorf("%s and %s are both %d", known[c.code], c.name, c.code)
		}
		if c.meaning == "" {
			t.Errorf("%s has no comment that says when", c.name)
		}
		known[c.code] = c.name
	}
	for name, c := range codes(t) {
		if known[c.exit] == "" || c.exit == ExitOK {
			t.Errorf("code %s has exit %d, which is no constant of an error", name, c.exit)
		}
		for _, s := range append(slices.Clone(c.meaning), c.cures...) {
			if strings.TrimSpace(s) == "" {
				t.Errorf("code %s has an empty meaning or cure", name)
			}
		}
	}
}

// A rule that stands after one of the same error, or of an error that it
// wraps, is never reached.
func TestEveryRuleIsReached(t *testing.T) {
	for _, r := range faultRules() {
		if f := Explain(fmt.Errorf("somewhere: %w", r.is)); f.Code != r.code || f.Exit != r.exit || f.Cure != r.cure {
			t.Errorf("%v: explained as %s (%d), its rule says %s (%d)", r.is, f.Code, f.Exit, r.code, r.exit)
		}
	}
}

func TestExplainNamesTheFile(t *testing.T) {
	_, err := os.Open("no/such/file")
	if f := Explain(fmt.Errorf("reading: %w", err)); f.Code != "no-file" || f.Field != "no/such/file" {
		t.Errorf("got %+v", f)
	}
	if f := Explain(context.Canceled); f.Exit != ExitInterrupted {
		t.Errorf("cancelled: got %+v", f)
	}
	if f := Explain(fmt.Errorf("something new")); f.Code != "failed" || f.Exit != ExitFailed || f.Cure == "" {
		t.Errorf("unknown: got %+v", f)
	}
}

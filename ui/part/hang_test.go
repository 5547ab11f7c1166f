package part

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"cipherdeck/ui/theme"
)

func TestHangStandsUnderTheText(t *testing.T) {
	for _, c := range []struct {
		in   string
		w    int
		want []string
	}{
		{"short", 20, []string{"short"}},
		{"! a cheat was refused here", 14, []string{"! a cheat was", "  refused here"}},
		{"  a fact without glyph", 14, []string{"  a fact", "  without", "  glyph"}},
		{"  ✓ pass   ak   The key signs what it wrote", 32, []string{"  ✓ pass   ak   The key signs", "                what it wrote"}},
		{"    --data wdbc.csv --node NODE", 20, []string{"    --data wdbc.csv", "    --node NODE"}},
		{"a plain sentence goes on", 12, []string{"a plain", "sentence", "goes on"}},
		{"server add CODE --root software", 20, []string{"server add CODE", "--root software"}},
		{"words  " + strings.Repeat("x", 9), 8, []string{"words", "xxxxxxxx", "x"}},
	} {
		if got := Hang(c.in, c.w); strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("Hang(%q, %d) = %q, want %q", c.in, c.w, got, c.want)
		}
	}
}

// TestHangKeepsTextAndColour: no letter is lost, no line is too wide, and each
// line has its own colours and ends them.
func TestHangKeepsTextAndColour(t *testing.T) {
	th := theme.Theme{Depth: theme.TrueColor}
	s := "  " + th.Bold(theme.Bad, "✗") + " " + th.Paint(theme.Bad, "FAIL  log.events 全角文字です: expected 41d0c5aa90b277aa, got e3b0c44298fcb855 instead") + " and plain text after it"
	letters := func(s string) string { return strings.ReplaceAll(ansi.Strip(s), " ", "") }
	for w := 12; w < 120; w++ {
		lines := Hang(s, w)
		if got := letters(strings.Join(lines, "")); got != letters(s) {
			t.Fatalf("width %d: text became %q", w, got)
		}
		for i, l := range lines {
			if n := Width(l); n > w {
				t.Errorf("width %d: line %d has %d cells", w, i, n)
			}
			if at := strings.LastIndex(l, "\x1b["); at >= 0 && !strings.HasPrefix(l[at:], "\x1b[0m") {
				t.Errorf("width %d: line %d leaves a colour open: %q", w, i, l)
			}
			if text := ansi.Strip(l); strings.Contains(text, "instead") != strings.Contains(l, "instead") || strings.Contains(text, "41d0") && !strings.Contains(l, "38;2") {
				t.Errorf("width %d: line %d lost its colour: %q", w, i, l)
			}
		}
	}
}

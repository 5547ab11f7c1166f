package action

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBeside(t *testing.T) {
	text := strings.Repeat("word ", 30) + strings.Repeat("x", 90) + " end"
	out := beside("✓ head ", text)
	if got := strings.Join(strings.Fields(strings.TrimPrefix(strings.Join(out, " "), "✓ head ")), " "); got != strings.Join(strings.Fields(text), " ") {
		t.Errorf("words are lost or changed: %q", out)
	}
	for i, l := range out {
		if i > 0 && (!strings.HasPrefix(l, "       ") || l[7] == ' ') {
			t.Errorf("line %d does not begin where the first does: %q", i, l)
		}
		if utf8.RuneCountInString(l) > 80 && !strings.Contains(l, "xxx") {
			t.Errorf("line %d is too wide: %q", i, l)
		}
	}
	if beside("head ", "") != nil || beside("head ", " ") != nil {
		t.Error("a head without text is shown")
	}
}

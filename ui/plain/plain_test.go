package plain

import (
	"strings"
	"testing"
	"unicode"
)

func TestTextMarksWhatATerminalWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":               "plain text",
		"a\x1b]52;c;aGk=\x07b":     "a␛]52;c;aGk=␇b",
		"\x1b[2J\x1b[6n":           "␛[2J␛[6n",
		"csi \u009b2J":             "csi \ufffd2J",
		"bidi \u202etxt.exe":       "bidi \ufffdtxt.exe",
		"tag \U000e0041":           "tag \ufffd",
		"two\nlines\tand tab":      "two lines and tab",
		"bad \xff utf8":            "bad \ufffd utf8",
		"naïve Ωmega 数据 — dash":    "naïve Ωmega 数据 — dash",
		"zero\u200bwidth\u2028sep": "zero\ufffdwidth\ufffdsep",
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[2Jb\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Text(s) {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%U left in %q", r, s)
			}
		}
		if n := strings.Count(Lines(s), "\n"); n != strings.Count(s, "\n") {
			t.Fatalf("Lines changed the number of lines")
		}
	})
}

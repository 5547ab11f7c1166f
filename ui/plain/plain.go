// Package plain makes strings from outside safe to show on a terminal.
//
// A project's name, an event of a log or an error of a server may carry escape
// sequences that write the clipboard, move the cursor or ask the terminal
// questions, and Unicode that reorders what is read. Everything that did not
// come from this program passes Text before it is printed.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns s with everything that is not plainly visible replaced by a
// visible mark: control characters (C0, C1, DEL) by their Unicode pictures or
// U+FFFD, bidirectional controls, tags, invisible and private characters by
// U+FFFD. Newlines and tabs become spaces: the result is one line.
func Text(s string) string {
	if clean(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		b.WriteRune(mark(r))
	}
	return b.String()
}

// Lines is Text for text of several lines: newlines stay.
func Lines(s string) string {
	parts := strings.Split(s, "\n")
	for i := range parts {
		parts[i] = Text(parts[i])
	}
	return strings.Join(parts, "\n")
}

func clean(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func mark(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return ' '
	case r < 0x20:
		return 0x2400 + r // ␀ … ␟
	case r == 0x7f:
		return 0x2421
	case r == utf8.RuneError || unicode.Is(unicode.C, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
		return utf8.RuneError
	case unicode.Is(unicode.Variation_Selector, r) || r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0:
		return utf8.RuneError
	}
	return r
}

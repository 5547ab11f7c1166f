package bootlog

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds the text of an event, in characters.
const maxText = 200

// Clean makes text from outside fit for a terminal: control characters, escape
// sequences, direction marks and broken UTF-8 become a question mark, and long
// text is cut.
func Clean(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxText {
			b.WriteRune('…')
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

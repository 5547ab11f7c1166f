package part

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Hang breaks s, which may have colours, into lines of at most w cells. Lines
// after the first are indented so that they stand under the text of the first:
// after its glyph, and after its columns when it has any. Each line closes its
// own colours, so that any of them can be drawn alone.
func Hang(s string, w int) []string {
	if Width(s) <= w {
		return []string{s}
	}
	n := textStart(ansi.Strip(s), w/2)
	first, rest := breakAt(strings.ReplaceAll(s, "-", noBreak), w)
	lines := []string{first}
	for _, l := range Wrap(rest, w-n) {
		lines = append(lines, strings.Repeat(" ", n)+l)
	}
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(l, noBreak, "-")
	}
	return closed(lines)
}

// noBreak stands for a hyphen while lines are broken, so that no option of a
// command is taken apart: the wrapper breaks after every hyphen. It is of
// Unicode's private use, which plain text has no use for.
const noBreak = "\uf8d7"

// breakAt takes the first line of at most w cells from s.
func breakAt(s string, w int) (first, rest string) {
	first, _, _ = strings.Cut(ansi.Wrap(s, w, " "), "\n")
	rest, ok := strings.CutPrefix(s, first)
	if !ok { // the wrapper changed what it kept: cut hard instead
		first = ansi.Truncate(s, w, "")
		rest = ansi.TruncateLeft(s, Width(first), "")
	}
	return strings.TrimRight(first, " "), strings.TrimLeft(rest, " ")
}

// textStart is the cell where the text of a line begins: after its indent, its
// glyph and its columns, which at least two spaces set apart. It is at most
// most.
func textStart(s string, most int) int {
	body := strings.TrimLeft(s, " ")
	n := len(s) - len(body)
	if glyph, rest, ok := strings.Cut(body, " "); ok && Width(glyph) == 1 && !isWord(glyph) {
		n, body = n+2, rest
	}
	at := n
	for i := 0; i < len(body); {
		gap := strings.Index(body[i:], "  ")
		if gap < 0 {
			break
		}
		i += gap
		for i < len(body) && body[i] == ' ' {
			i++
		}
		if c := n + Width(body[:i]); c <= most {
			at = c
		}
	}
	return min(at, most)
}

// isWord reports whether one cell of text is a letter or a digit.
func isWord(s string) bool {
	c := s[0]
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// closed ends the colour that is open at the end of each line and begins the
// next line with it.
func closed(lines []string) []string {
	open := ""
	for i, l := range lines {
		l = open + l
		if at := strings.LastIndex(l, "\x1b["); at >= 0 {
			end := at + strings.IndexByte(l[at:], 'm') + 1
			open = l[at:end]
		}
		if open == "\x1b[0m" || open == "\x1b[m" {
			open = ""
		}
		if open != "" {
			l += "\x1b[0m"
		}
		lines[i] = l
	}
	return lines
}

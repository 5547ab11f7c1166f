// Package part is the pieces that screens are put together from: lines that
// fit, lists, forms, a bar, the chain of evidence.
//
// Everything here is a plain value that turns into lines of text. Nothing
// reads, waits or keeps time, and nothing knows the terminal library: keys
// arrive as Key, colours as a theme.
package part

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"cipherdeck/crypto/progress"
)

// Width is how many cells s takes, escape sequences not counted.
func Width(s string) int { return ansi.StringWidth(s) }

// Cut shortens s to at most w cells; what is lost is marked by an ellipsis.
func Cut(s string, w int) string {
	if w <= 0 {
		return ""
	}
	if ansi.StringWidth(s) <= w {
		return s
	}
	return ansi.Truncate(s, w, "…")
}

// Fit makes s exactly w cells wide.
func Fit(s string, w int) string {
	s = Cut(s, w)
	if n := w - ansi.StringWidth(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}

// Right puts s at the right end of w cells.
func Right(s string, w int) string {
	s = Cut(s, w)
	return strings.Repeat(" ", max(w-ansi.StringWidth(s), 0)) + s
}

// Ends puts left and right at the two ends of w cells; left gives way.
func Ends(left, right string, w int) string {
	right = Cut(right, w)
	room := w - ansi.StringWidth(right)
	if right == "" || room == 0 {
		return Fit(left, room) + right
	}
	return Fit(left, room-1) + " " + right
}

// Wrap breaks s into lines of at most w cells, between words where it can.
func Wrap(s string, w int) []string {
	if w < 1 || s == "" {
		return nil
	}
	lines := strings.Split(ansi.Wrap(s, w, " "), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// Exactly makes lines exactly h lines of w cells.
func Exactly(lines []string, w, h int) []string {
	out := make([]string, 0, max(h, 0))
	for i := range h {
		l := ""
		if i < len(lines) {
			l = lines[i]
		}
		out = append(out, Fit(l, w))
	}
	return out
}

// Beside puts blocks of lines side by side, with a separator between. All have
// the same number of lines, each of even width.
func Beside(sep string, blocks ...[]string) []string {
	out := append([]string(nil), blocks[0]...)
	for _, b := range blocks[1:] {
		for i := range out {
			out[i] += sep + b[i]
		}
	}
	return out
}

// Amount writes n of a unit for a person.
func Amount(n int64, u progress.Unit) string {
	switch u {
	case progress.Bytes:
		return Size(n)
	case progress.None:
		return Count(n)
	}
	return Count(n) + " " + u.String()
}

// Size writes a number of bytes for a person.
func Size(n int64) string {
	v, names, i := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}, 0
	for ; v >= 1024 && i < len(names)-1; i++ {
		v /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, names[i])
}

// Count writes a number with its thousands apart.
func Count(n int64) string {
	s := fmt.Sprint(n)
	start := len(s) % 3
	if n < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:start])
	for i := start; i < len(s); i += 3 {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s[i : i+3])
	}
	return b.String()
}

// Span writes a length of time for a person.
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// Ago writes how long before now t was, in one short word.
func Ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

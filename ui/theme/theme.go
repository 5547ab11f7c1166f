// Package theme is the colours of the workstation, by what they mean.
//
// There are twelve roles and no other colours. Plain text keeps the terminal's
// own colour, so that a background that was guessed wrongly still leaves the
// text readable. A colour never carries a meaning alone: whoever paints a
// state also writes its word and its glyph, so NO_COLOR loses nothing.
//
// Each role has a colour for dark and for light backgrounds, in 24 bits, from
// the 256-colour cube and from the 16 of the terminal, chosen by hand: an
// automatic downgrade makes different things look alike. A test holds every
// one against usual backgrounds, at least 4.5:1 (WCAG 2.2, 1.4.3).
package theme

import (
	"fmt"
	"strings"
)

// Role is what a colour means.
type Role uint8

// The roles.
const (
	Text Role = iota
	Dim
	Faint
	Accent
	Selection
	OK
	Warn
	Bad
	Info
	Border
	Chrome
	Key
)

// Depth is how many colours the terminal has.
type Depth uint8

// The depths. Mono still has bold and reverse, which are no colours.
const (
	Mono Depth = iota
	ANSI16
	ANSI256
	TrueColor
)

// Theme paints. The zero Theme is monochrome.
type Theme struct {
	Light bool // the background is light
	Depth Depth
}

// tone is one colour at the three depths; sgr 39 is the terminal's own.
type tone struct {
	rgb  uint32
	cube uint8
	sgr  uint8
}

// tones is the table of colours: for dark backgrounds, for light ones.
func tones(r Role) (dark, light tone) {
	switch r {
	case Dim:
		return tone{0xb0b6c3, 249, 39}, tone{0x4d5560, 239, 39}
	case Faint:
		return tone{0x9298a6, 246, 39}, tone{0x5f6771, 240, 39}
	case Accent, Selection, Key:
		return tone{0x8fb8ff, 111, 94}, tone{0x0550ae, 25, 34}
	case OK:
		return tone{0x93d282, 114, 92}, tone{0x116329, 22, 32}
	case Warn:
		return tone{0xe8c06a, 179, 93}, tone{0x734700, 58, 33}
	case Bad:
		return tone{0xff8f8f, 210, 91}, tone{0xb01020, 124, 31}
	case Info:
		return tone{0x7ccfe0, 80, 96}, tone{0x175a66, 23, 36}
	case Border:
		return tone{0x8f95a5, 246, 39}, tone{0x646c76, 241, 39}
	case Chrome:
		return tone{0xb0b6c3, 249, 39}, tone{0x4d5560, 239, 39}
	}
	return tone{0, 0, 39}, tone{0, 0, 39}
}

// Paint gives s the colour of r.
func (t Theme) Paint(r Role, s string) string { return t.wrap(t.colour(r), s) }

// Bold gives s the colour of r and makes it bold.
func (t Theme) Bold(r Role, s string) string {
	c := t.colour(r)
	if c != "" {
		c = ";" + c
	}
	return t.wrap("1"+c, s)
}

// Cursor shows s as the cell under the cursor.
func (t Theme) Cursor(s string) string { return t.wrap("7", s) }

func (t Theme) wrap(sgr, s string) string {
	if sgr == "" || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

func (t Theme) colour(r Role) string {
	c, light := tones(r)
	if t.Light {
		c = light
	}
	if t.Depth == Mono || c.sgr == 39 && (c.cube == 0 || t.Depth == ANSI16) {
		return ""
	}
	switch t.Depth {
	case TrueColor:
		return fmt.Sprintf("38;2;%d;%d;%d", c.rgb>>16, c.rgb>>8&255, c.rgb&255)
	case ANSI256:
		return fmt.Sprintf("38;5;%d", c.cube)
	}
	return fmt.Sprint(c.sgr)
}

// Detect chooses a theme from the environment. CIPHERDECK_THEME may say dark,
// light or mono; COLORFGBG, which some terminals set, tells the background.
// Dark is the guess when nothing does.
func Detect(getenv func(string) string, noColor bool) Theme {
	t := Theme{Depth: depth(getenv)}
	bg := getenv("COLORFGBG")
	bg = bg[strings.LastIndexByte(bg, ';')+1:]
	t.Light = bg == "7" || bg == "15"
	switch getenv("CIPHERDECK_THEME") {
	case "light":
		t.Light = true
	case "dark":
		t.Light = false
	case "mono":
		t.Depth = Mono
	}
	if noColor || getenv("NO_COLOR") != "" {
		t.Depth = Mono
	}
	return t
}

func depth(getenv func(string) string) Depth {
	term := getenv("TERM")
	switch {
	case term == "dumb" || strings.HasPrefix(term, "vt"):
		return Mono
	case getenv("COLORTERM") == "truecolor" || getenv("COLORTERM") == "24bit":
		return TrueColor
	case strings.Contains(term, "256color"):
		return ANSI256
	}
	return ANSI16
}

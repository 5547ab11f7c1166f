package theme

import (
	"math"
	"strings"
	"testing"
)

// luminance is the relative luminance of WCAG 2.2.
func luminance(rgb uint32) float64 {
	lin := func(v uint32) float64 {
		c := float64(v&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*lin(rgb>>16) + 0.7152*lin(rgb>>8) + 0.0722*lin(rgb)
}

func contrast(a, b uint32) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// xterm is colour n of the 256-colour palette, n at least 16.
func xterm(n uint8) uint32 {
	if n >= 232 {
		v := uint32(n-232)*10 + 8
		return v<<16 | v<<8 | v
	}
	level := func(v uint8) uint32 {
		if v == 0 {
			return 0
		}
		return uint32(v)*40 + 55
	}
	n -= 16
	return level(n/36)<<16 | level(n/6%6)<<8 | level(n%6)
}

func TestContrastOnUsualBackgrounds(t *testing.T) {
	dark := []uint32{0x000000, 0x16161e, 0x1e1e1e, 0x1e1e2e, 0x282c34}
	light := []uint32{0xffffff, 0xfafafa, 0xfdf6e3, 0xeff1f5}
	check := func(r Role, what string, fg uint32, backs []uint32) {
		for _, bg := range backs {
			if c := contrast(fg, bg); c < 4.5 {
				t.Errorf("role %d %s #%06x on #%06x: %.2f:1, want 4.5:1", r, what, fg, bg, c)
			}
		}
	}
	for r := Dim; r <= Key; r++ {
		d, l := tones(r)
		check(r, "dark 24-bit", d.rgb, dark)
		check(r, "dark 256", xterm(d.cube), dark)
		check(r, "light 24-bit", l.rgb, light)
		check(r, "light 256", xterm(l.cube), light)
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		env     string
		noColor bool
		want    Theme
	}{
		{"TERM=xterm-256color", false, Theme{Depth: ANSI256}},
		{"TERM=xterm-256color COLORTERM=truecolor", false, Theme{Depth: TrueColor}},
		{"TERM=xterm", false, Theme{Depth: ANSI16}},
		{"TERM=vt100", false, Theme{}},
		{"TERM=xterm COLORFGBG=0;15", false, Theme{Light: true, Depth: ANSI16}},
		{"TERM=xterm COLORFGBG=15;default;0", false, Theme{Depth: ANSI16}},
		{"TERM=xterm-256color CIPHERDECK_THEME=light", false, Theme{Light: true, Depth: ANSI256}},
		{"TERM=xterm-256color CIPHERDECK_THEME=light NO_COLOR=1", false, Theme{Light: true}},
		{"TERM=xterm-256color", true, Theme{}},
	} {
		get := func(k string) string {
			for _, kv := range strings.Fields(c.env) {
				if n, v, _ := strings.Cut(kv, "="); n == k {
					return v
				}
			}
			return ""
		}
		if got := Detect(get, c.noColor); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.env, got, c.want)
		}
	}
}

func TestMonoHasNoColour(t *testing.T) {
	for r := Text; r <= Key; r++ {
		if s := (Theme{}).Paint(r, "x"); s != "x" {
			t.Errorf("role %d painted %q without colours", r, s)
		}
	}
	if s := (Theme{}).Bold(Bad, "x"); s != "\x1b[1mx\x1b[0m" {
		t.Errorf("bold without colours: %q", s)
	}
}

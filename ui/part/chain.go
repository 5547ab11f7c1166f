package part

import (
	"fmt"
	"strings"

	"cipherdeck/attest"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// Tint is the colour of a link's state. Software is never the colour of a
// pass: a chain is as good as its root.
func Tint(s attest.State) theme.Role {
	switch s {
	case attest.Pass:
		return theme.OK
	case attest.Fail:
		return theme.Bad
	case attest.Warn, attest.Software:
		return theme.Warn
	}
	return theme.Faint
}

// stateCol is how wide the widest word of a state is.
const stateCol = 11

// Links draws a chain of evidence in w cells, downwards, in the order in which
// it was checked. The first broken link is opened: what was expected, what was
// found. payload is how many bytes had been sent when it broke. Link open is
// opened as well, at is marked. The second value is the line of link at.
func Links(th theme.Theme, w int, v *attest.Verdict, payload int64, at, open int, focused bool) (lines []string, line int) {
	broken := v.Broken()
	for i := range v.Links {
		l := &v.Links[i]
		if i == at {
			line = len(lines)
		}
		lines = append(lines, head(th, w, l, i == at, focused))
		if l == broken {
			lines = append(lines, breakage(th, w, l, payload)...)
		}
		if i == open {
			lines = append(lines, Detail(th, w, l, "    ")...)
		}
	}
	return lines, line
}

func head(th theme.Theme, w int, l *attest.Link, chosen, focused bool) string {
	mark, name, text := " ", th.Paint(Tint(l.State), Fit(l.State.String(), stateCol)), th.Paint(theme.Dim, plain.Text(l.Claim))
	if l.State == attest.Pass || l.State == attest.Software {
		text = plain.Text(l.Claim)
	}
	if l.State == attest.Fail {
		name, text = th.Bold(theme.Bad, Fit(l.State.String(), stateCol)), th.Bold(theme.Bad, plain.Text(l.Claim))
	}
	if l.ID == attest.LinkRoot && l.State == attest.Software {
		text = "Root: " + attest.RootSoftware.String() + ". A lying host could forge it."
	}
	if chosen {
		mark = th.Paint(theme.Faint, "▏")
	}
	if chosen && focused {
		mark = th.Bold(theme.Selection, "▌")
		if l.State != attest.Fail {
			text = th.Bold(theme.Text, stripped(l, text))
		}
	}
	return Cut(mark+th.Bold(Tint(l.State), l.State.Glyph())+" "+name+" "+text, w)
}

// stripped is the text without colours, to be painted anew.
func stripped(l *attest.Link, text string) string {
	if l.ID == attest.LinkRoot && l.State == attest.Software {
		return text
	}
	return plain.Text(l.Claim)
}

// breakage tells what broke a link, under it.
func breakage(th theme.Theme, w int, l *attest.Link, payload int64) []string {
	bar := th.Paint(theme.Bad, "    │ ")
	var out []string
	add := func(r theme.Role, label, s string) {
		for i, x := range Wrap(s, w-17) {
			if i > 0 {
				label = ""
			}
			out = append(out, bar+th.Paint(theme.Dim, Fit(label, 10))+th.Paint(r, x))
		}
	}
	what, want, got := split(plain.Text(l.Found))
	add(theme.Text, "link", l.ID)
	if want == "" {
		add(theme.Bad, "found", what)
	} else {
		add(theme.Text, "what", what)
		add(theme.Text, "expected", want)
		add(theme.Bad, "got", got)
	}
	sent := "zero payload bytes were sent"
	if payload != 0 {
		sent = fmt.Sprintf("%d payload bytes were sent", payload)
	}
	return append(out, bar+th.Bold(theme.Text, sent))
}

// split takes a finding apart: what differs, what was expected, what was got.
// The middle two are empty when it is not of that form.
func split(found string) (what, want, got string) {
	before, after, ok := strings.Cut(found, "expected ")
	if !ok {
		return found, "", ""
	}
	want, got, ok = strings.Cut(after, ", got ")
	if !ok {
		return found, "", ""
	}
	return strings.TrimRight(before, ": "), want, got
}

// Detail is everything there is to say about one link, in w cells after an
// indent.
func Detail(th theme.Theme, w int, l *attest.Link, indent string) []string {
	var out []string
	add := func(r theme.Role, label, s string) {
		lines := Wrap(plain.Text(s), w-Width(indent)-14)
		for i, x := range lines {
			if i > 0 {
				label = ""
			}
			out = append(out, indent+th.Paint(theme.Dim, Fit(label, 13))+th.Paint(r, x))
		}
	}
	add(theme.Dim, "link", l.ID)
	add(theme.Text, "claim", l.Claim)
	add(theme.Text, "rule", l.Rule)
	add(Tint(l.State), "found", l.Found)
	add(theme.Warn, "does NOT show", l.NotProven)
	return out
}

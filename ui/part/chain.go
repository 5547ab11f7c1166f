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

// Chain is a chain of evidence to be drawn.
type Chain struct {
	Verdict *attest.Verdict
	Payload int64 // bytes that had been sent when it broke
	At      int   // link in focus
	Open    int   // link whose details are shown, -1 for none
	Focused bool  // the keys go to this chain
	Full    bool  // claims may take several lines
}

// Lines draws the chain in w cells, downwards, in the order in which it was
// checked. The first broken link is opened: what was expected, what was found.
// The second value is the line of the link in focus.
func (c Chain) Lines(th theme.Theme, w int) (lines []string, at int) {
	broken := c.Verdict.Broken()
	for i := range c.Verdict.Links {
		l := &c.Verdict.Links[i]
		if i == c.At {
			at = len(lines)
		}
		lines = append(lines, c.head(th, w, i)...)
		if l == broken {
			lines = append(lines, breakage(th, w, l, c.Payload)...)
		}
		if i == c.Open {
			lines = append(lines, Detail(th, w, l, "    ")...)
		}
	}
	return lines, at
}

// head is a link's glyph, word and claim.
func (c Chain) head(th theme.Theme, w, i int) []string {
	l := &c.Verdict.Links[i]
	chosen := i == c.At
	text := []string{Cut(claim(l), w-stateCol-4)}
	if c.Full {
		text = Wrap(claim(l), w-stateCol-5)
	}
	mark := " "
	switch {
	case chosen && c.Focused:
		mark = th.Bold(theme.Selection, "▌")
	case chosen:
		mark = th.Paint(theme.Faint, "▏")
	}
	word := th.Paint(Tint(l.State), Fit(l.State.String(), stateCol))
	if l.State == attest.Fail {
		word = th.Bold(theme.Bad, Fit(l.State.String(), stateCol))
	}
	lead := mark + th.Bold(Tint(l.State), l.State.Glyph()) + " " + word + " "
	var out []string
	for _, t := range text {
		switch {
		case l.State == attest.Fail:
			t = th.Bold(theme.Bad, t)
		case chosen && c.Focused:
			t = th.Bold(theme.Text, t)
		case l.State == attest.NotChecked:
			t = th.Paint(theme.Faint, t)
		}
		out = append(out, lead+t)
		lead = strings.Repeat(" ", stateCol+4)
	}
	return out
}

// claim is what a link says. The root says what kind of root it is.
func claim(l *attest.Link) string {
	if l.ID == attest.LinkRoot && l.State == attest.Software {
		return attest.RootSoftware.String() + ": a lying host could forge it"
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
	if want == "" {
		add(theme.Bad, "found", what)
	} else {
		if what != "" {
			add(theme.Text, "what", what)
		}
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
		lines := Wrap(plain.Text(s), w-Width(indent)-16)
		for i, x := range lines {
			if i > 0 {
				label = ""
			}
			out = append(out, indent+th.Paint(theme.Dim, Fit(label, 15))+th.Paint(r, x))
		}
	}
	add(theme.Dim, "link", l.ID)
	add(theme.Text, "claim", l.Claim)
	add(theme.Text, "rule", l.Rule)
	add(Tint(l.State), "found", l.Found)
	add(theme.Warn, "does NOT show", l.NotProven)
	add(theme.Dim, "why it matters", l.Why)
	return out
}

package screen

import (
	"context"
	"fmt"
	"strings"

	"cipherdeck/attest"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// page is what the right half of the servers screen shows.
type page uint8

const (
	pageChain   page = iota // the links of the proof
	pagePCRs                // the registers and their events
	pageMachine             // who the machine is, and what changed
	pageLab                 // bits of the evidence flipped, and what breaks
)

// pageOf is the page of a key.
func pageOf(k part.Key) (page, bool) {
	switch k.Name {
	case "c":
		return pageChain, true
	case "p":
		return pagePCRs, true
	case "i":
		return pageMachine, true
	case "t":
		return pageLab, true
	}
	return 0, false
}

// tried is the answer of the tamper lab.
type tried struct {
	server string
	rows   []app.Trial
	err    error
}

// lab flips one bit of each field of a server's newest evidence.
func (s *session) lab(server string) cmd {
	return func() msg {
		rows, err := s.app().Lab(context.Background(), server)
		return tried{server, rows, err}
	}
}

// turn shows another page of the chosen server.
func (v *servers) turn(p page) cmd {
	v.page, v.row, v.opened = p, part.List{}, -1
	if p == pageLab {
		if e, ok := v.chosen(); ok {
			v.trials = nil
			return v.s.lab(e.name)
		}
	}
	return nil
}

// rows is how many lines can be chosen on the page.
func (v *servers) rows() int {
	e, ok := v.chosen()
	if !ok {
		return 0
	}
	switch v.page {
	case pagePCRs:
		if e.judged != nil && e.judged.Verdict != nil {
			return len(e.judged.Verdict.PCRs)
		}
	case pageMachine:
		return len(v.s.data.machines[e.name].History)
	case pageLab:
		if v.trials != nil {
			return len(v.trials.rows)
		}
	}
	return 0
}

func (v *servers) viewPage(w, h int) []string {
	e, ok := v.chosen()
	if !ok {
		return nil
	}
	top := append(v.summary(e, w, 2), "")
	var body []string
	at := 0
	switch v.page {
	case pagePCRs:
		body, at = v.viewPCRs(e, w)
	case pageMachine:
		body, at = v.viewMachine(e, w)
	default:
		body, at = v.viewLab(w)
	}
	from, to := v.window(body, at, max(h-len(top), 1))
	return append(top, body[from:to]...)
}

func (v *servers) nothing(w int, text, key, does string) []string {
	th := v.s.th
	var out []string
	for _, l := range part.Wrap(text, w-3) {
		out = append(out, " "+th.Paint(theme.Dim, l))
	}
	if key != "" {
		out = append(out, "", " "+th.Bold(theme.Key, key)+th.Paint(theme.Dim, " "+does))
	}
	return out
}

// viewPCRs is the table of registers; enter opens the events of one.
func (v *servers) viewPCRs(e entry, w int) (out []string, at int) {
	th := v.s.th
	if e.judged == nil || e.judged.Verdict == nil || len(e.judged.Verdict.PCRs) == 0 {
		return v.nothing(w, "No registers were shown yet, or the proof broke before them.", "a", "asks the server"), 0
	}
	out = append(out, v.drift(e, w)...)
	out = append(out, " "+th.Paint(theme.Faint, part.Fit("PCR", 5)+part.Fit("state", 11)+part.Fit("value", 15)+"what it is for"))
	for i, r := range e.judged.Verdict.PCRs {
		if i == v.row.At {
			at = len(out)
		}
		role, glyph := theme.Dim, "?"
		switch r.State {
		case attest.PCRMatches:
			role, glyph = theme.OK, "✓"
		case attest.PCRDiffers:
			role, glyph = theme.Bad, "✗"
		}
		index := part.Fit(fmt.Sprintf("%3d", r.Index), 5)
		if driftIn(e.judged.Drift, r.Index) != "" {
			index = part.Fit(fmt.Sprintf("%3d", r.Index), 3) + th.Bold(theme.Warn, "! ")
		}
		line := index + th.Paint(role, part.Fit(glyph+" "+r.State.String(), 11)) +
			th.Paint(theme.Dim, part.Fit(action.Short(r.Value), 15)) + part.Cut(r.Meaning, max(w-33, 1))
		out = append(out, lead(th, i == v.row.At, v.pane == 1)+line)
		if i == v.opened {
			out = append(out, v.register(r, e.judged.Drift, w)...)
		}
	}
	return out, at
}

// register is one register whole: what was expected and got, and its events.
func (v *servers) register(r attest.PCRRow, drift app.Drift, w int) (out []string) {
	th := v.s.th
	add := func(role theme.Role, s string) {
		for _, l := range part.Wrap(plain.Text(s), w-8) {
			out = append(out, "      "+th.Paint(role, l))
		}
	}
	if d := driftIn(drift, r.Index); d != "" {
		add(theme.Warn, "! since the last good verdict: "+d)
	}
	add(theme.Dim, "got       "+hexOf(r.Value))
	for _, want := range r.Want {
		add(theme.Dim, "accepted  "+hexOf(want))
	}
	if len(r.Want) == 1 {
		if i := firstDifference(r.Want[0], r.Value); i >= 0 {
			add(theme.Bad, fmt.Sprintf("they part at byte %d: %02x, want %02x", i, r.Value[i], r.Want[0][i]))
		}
	}
	if r.Diff != "" {
		add(theme.Bad, r.Diff)
	}
	for _, ev := range r.Events {
		role, mark := theme.Text, "·"
		if ev.First {
			role, mark = theme.Bad, "✗"
		}
		note := ""
		if !ev.Covered {
			note = " (unverified text)"
		}
		add(role, mark+" "+ev.Type+"  "+ev.Text+note)
	}
	if len(r.Events) == 0 {
		add(theme.Faint, "no log explains it")
	}
	return out
}

func firstDifference(want, got []byte) int {
	if len(want) != len(got) {
		return -1
	}
	for i := range want {
		if want[i] != got[i] {
			return i
		}
	}
	return -1
}

// viewMachine is the machine's face and its history, newest first.
func (v *servers) viewMachine(e entry, w int) (out []string, at int) {
	th, m := v.s.th, v.s.data.machines[e.name]
	if m.Words == "" {
		return v.nothing(w, "This machine was never attested, so nothing is known of it.", "a", "asks it now"), 0
	}
	var text []string
	faint := func(s string) {
		for _, l := range part.Wrap(s, max(w-24, 20)) {
			text = append(text, th.Paint(theme.Faint, l))
		}
	}
	faint("eight words of its identity: compare them by voice")
	for _, l := range part.Wrap(m.Words, max(w-24, 20)) {
		text = append(text, th.Bold(theme.Text, l))
	}
	text = append(text, "")
	faint("for the telephone")
	for _, l := range part.Wrap(m.Digits, max(w-24, 24)) {
		text = append(text, th.Paint(theme.Text, l))
	}
	text = append(text, "")
	faint("the picture is to recognise, not to compare")
	out = beside(m.Art, text)
	if m.Held != "" {
		for _, l := range part.Wrap("✗ jobs are suspended: "+plain.Text(m.Held), w-3) {
			out = append(out, " "+th.Bold(theme.Bad, l))
		}
	}
	out = append(out, v.pace(e, w)...)
	out = append(out, "", " "+th.Paint(theme.Faint, part.Cut(part.Fit("when", 14)+part.Fit("verdict", 10)+"resets  manifest  what was new", w-2)))
	for i := range m.History {
		h := m.History[len(m.History)-1-i]
		if i == v.row.At && i > 0 { // the first is read with the face above it
			at = len(out)
		}
		role := theme.Warn
		switch {
		case h.Broken != "":
			role = theme.Bad
		case h.Word == "trusted":
			role = theme.OK
		}
		line := th.Paint(theme.Dim, h.At.Local().Format("Jan 02 15:04")) + "  " + th.Paint(role, part.Fit(h.Word, 9)) + " " +
			th.Paint(theme.Dim, fmt.Sprintf("%6d  %8d  ", h.Resets, h.Version)) + changedIn(h) + plain.Text(h.Note)
		out = append(out, lead(th, i == v.row.At, v.pane == 1)+part.Cut(line, w-2))
	}
	return out, at
}

// beside puts the picture left of the text.
func beside(art, text []string) (out []string) {
	for i := range max(len(art), len(text)) {
		l, r := strings.Repeat(" ", 19), ""
		if i < len(art) {
			l = art[i]
		}
		if i < len(text) {
			r = text[i]
		}
		out = append(out, " "+l+"  "+r)
	}
	return out
}

// viewLab is what breaks when a bit is flipped.
func (v *servers) viewLab(w int) (out []string, at int) {
	th := v.s.th
	if v.trials == nil {
		return v.nothing(w, "One bit of every field is being flipped…", "", ""), 0
	}
	if v.trials.err != nil {
		return append(v.nothing(w, "No evidence to bend: a server has to be asked first.", "a", "asks it"), faultLines(th, v.trials.err)...), 0
	}
	out = append(out, " "+th.Paint(theme.Dim, part.Cut("One bit flipped in each field, and the link that breaks:", w-2)))
	for i, r := range v.trials.rows {
		if i == v.row.At {
			at = len(out)
		}
		what := th.Bold(theme.Bad, "✗ "+r.Link)
		if r.Link == "" {
			what = th.Paint(theme.Faint, "? "+r.Found)
		}
		line := part.Fit(r.Field, 15) + th.Paint(theme.Dim, part.Fit(fmt.Sprintf("%d bytes", r.Bytes), 13)) + what
		out = append(out, lead(th, i == v.row.At, v.pane == 1)+part.Cut(line, w-2))
		if i == v.opened && r.Verdict != nil {
			lines, _ := part.Chain{Verdict: r.Verdict, At: -1, Open: -1}.Lines(th, w-3)
			for _, l := range lines {
				out = append(out, "   "+l)
			}
		}
	}
	return out, at
}

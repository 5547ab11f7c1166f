package screen

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app/demo"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// The keys that start the next act of the demonstration. Space does it
// wherever nothing can be typed; ctrl+n types nothing and means nothing
// elsewhere, so it works in forms too.
const (
	nextKey    = "space"
	nextAnyKey = "ctrl+n"
)

// isNext reports whether k starts the next act now.
func (r *root) isNext(k part.Key) bool {
	switch {
	case r.s.story == nil:
		return false
	case k.Name == nextAnyKey || k.Name == "f5":
		return true
	case k.Name != nextKey:
		return false
	case len(r.over) == 0:
		return true
	}
	_, text := r.over[len(r.over)-1].(*textOver)
	return text
}

// randomness is where passphrases come from.
func randomness() io.Reader { return rand.Reader }

// story is how far the demonstration is.
type story struct {
	s       *session
	hook    DemoHook
	next    int // index of the act to come
	working bool
	meter   *meter
	gauge   part.Gauge
	looks   int
	reports []*demo.Report
}

func newStory(s *session, h DemoHook) *story { return &story{s: s, hook: h} }

// performed is an act that ended.
type performed struct {
	act    demo.Act
	report *demo.Report
	err    error
}

// next starts the act to come.
func (r *root) next() cmd {
	st := r.story
	if st.working {
		return nil
	}
	r.over = nil
	r.said = said{}
	if st.next >= len(st.hook.Acts) {
		r.over = append(r.over, newText(r.s, "The whole story", st.summary()))
		return nil
	}
	act := st.hook.Acts[st.next]
	moved := r.tell(moved{})
	st.working, st.looks = true, 0
	st.meter = &meter{now: r.s.now, g: part.Gauge{Phase: "starting", Since: r.s.now()}}
	st.gauge = st.meter.gauge()
	ctx, sink, perform := r.s.ctx, st.meter, st.hook.Perform
	do := func() msg { return perform1(ctx, act, sink, perform) }
	return all(moved, do, r.look(), r.turnTo(act.Screen))
}

func perform1(ctx context.Context, a demo.Act, m *meter, perform func(context.Context, demo.Act, progress.Sink) (*demo.Report, error)) msg {
	rep, err := perform(ctx, a, m)
	return performed{a, rep, err}
}

func (r *root) performed(m performed) cmd {
	st := r.story
	st.working = false
	st.next++
	if m.report == nil {
		m.report = &demo.Report{Act: m.act.Number, Title: m.act.Title}
	}
	st.reports = append(st.reports, m.report)
	r.s.data.detail = map[string]*detail{}
	lines := st.report(m.report, m.err)
	if st.next == len(st.hook.Acts) {
		lines = append(append(lines, "", r.s.th.Bold(theme.Text, "The whole story")), st.summary()...)
	}
	r.over = append(r.over, newText(r.s, st.head(m.report), lines))
	return all(r.s.survey(), r.s.lookAtBoard(), r.now().open())
}

func (st *story) head(rep *demo.Report) string {
	word := "✓ done"
	if !rep.OK {
		word = "✗ FAILED"
	}
	return fmt.Sprintf("Act %d  %s  %s in %s", rep.Act, rep.Title, word, part.Span(rep.Took))
}

func (st *story) report(rep *demo.Report, err error) []string {
	th := st.s.th
	var out []string
	for _, l := range rep.Lines {
		role := [...]theme.Role{theme.Text, theme.OK, theme.Bad, theme.Warn}[l.Mark]
		text := plain.Text(l.Text)
		if l.Mark == demo.Info {
			out = append(out, "  "+marked(th, []string{l.Text})[0])
			continue
		}
		glyph := l.Mark.Glyph()
		if l.Mark == demo.Caught && isLoud(text) {
			role, glyph = theme.Bad, demo.Bad.Glyph()
		}
		if role == theme.Bad {
			text = th.Paint(theme.Bad, text)
		}
		out = append(out, th.Bold(role, glyph)+" "+text)
	}
	if err != nil && len(rep.Lines) == 0 {
		out = append(out, faultLines(th, err)...)
	}
	return out
}

// isLoud reports whether a line begins with the verdict on a cheat. It is
// painted as what was found, though finding it is what the act should do.
func isLoud(text string) bool {
	return slices.ContainsFunc(loud(), func(w string) bool { return strings.HasPrefix(text, w) })
}

// summary is all acts in a line each.
func (st *story) summary() []string {
	th := st.s.th
	var out []string
	good := 0
	for _, r := range st.reports {
		mark := th.Bold(theme.Bad, "✗ FAILED")
		if r.OK {
			mark = th.Bold(theme.OK, "✓ done  ")
			good++
		}
		out = append(out, fmt.Sprintf("%s  %d  %s %s", mark, r.Act, part.Fit(r.Title, 18), part.Right(part.Span(r.Took), 9)))
		caught := 0
		for _, l := range r.Lines {
			if l.Mark == demo.Caught {
				caught++
			}
		}
		if caught > 0 {
			out[len(out)-1] += th.Paint(theme.Warn, fmt.Sprintf("   ! %d caught", caught))
		}
	}
	out = append(out, "", fmt.Sprintf("%d of %d acts did what they should. Look around: 1 Projects, 2 Servers, 3 Jobs.", good, len(st.hook.Acts)))
	return append(out, th.Paint(theme.Dim, "q quits and removes the scratch folder."))
}

// lines are the lines of status: what comes next, or what is being done, and
// below it how. A command to be typed by hand takes as many as it needs.
func (st *story) lines(w int) (top string, below []string) {
	th := st.s.th
	switch {
	case st.working:
		a := st.hook.Acts[st.next]
		g := st.gauge
		return " " + th.Bold(theme.Info, fmt.Sprintf("▸ Act %d %s", a.Number, a.Title)) + "  " + a.Tell,
			[]string{"   " + st.gaugeLine(g, w-4)}
	case st.next < len(st.hook.Acts):
		a := st.hook.Acts[st.next]
		return " " + th.Bold(theme.Info, fmt.Sprintf("next: Act %d %s", a.Number, a.Title)) + ": " + a.Tell,
			st.byHand(a.ByHand, w)
	}
	return " " + th.Bold(theme.OK, "✓ the story is told") + ": look around, " + th.Bold(theme.Key, "1 2 3"),
		[]string{"   " + th.Bold(theme.Key, nextKey) + th.Paint(theme.Dim, " shows the summary · ") + th.Bold(theme.Key, "q") + th.Paint(theme.Dim, " quits and removes the scratch folder")}
}

// byHand names the keys and the command that does the same: on one line if it
// fits, else the command begins where there is room for it.
func (st *story) byHand(command string, w int) []string {
	th := st.s.th
	press := "   " + th.Paint(theme.Dim, "press ") + th.Bold(theme.Key, nextAnyKey) + th.Paint(theme.Dim, " or ") + th.Bold(theme.Key, nextKey) + th.Paint(theme.Dim, " · by hand:")
	switch {
	case part.Width(press)+1+part.Width(command) <= w || st.s.h < 20:
		return []string{press + " " + command}
	case part.Width(command)+5 <= w:
		return []string{press, "     " + command}
	}
	return part.Hang(press+" "+command, w)
}

func (st *story) gaugeLine(g part.Gauge, w int) string {
	th := st.s.th
	since := st.s.now().Sub(g.Since)
	text := g.Brief() + "  " + part.Span(since.Round(100_000_000))
	if g.Total <= 0 {
		return th.Paint(theme.Dim, part.Cut(text, w))
	}
	bar := min(24, max(w-part.Width(text)-3, 6))
	return part.Bar(th, bar, float64(g.Done)/float64(g.Total)) + "  " + th.Paint(theme.Dim, text)
}

func (st *story) hint() hint {
	switch {
	case st.working:
		return hint{}
	case st.next < len(st.hook.Acts):
		return hint{nextKey, fmt.Sprintf("act %d", st.hook.Acts[st.next].Number)}
	}
	return hint{nextKey, "summary"}
}

// welcome is the page before there is a vault.
func (st *story) welcome(w, h int) []string {
	th := st.s.th
	out := []string{"", "  " + th.Bold(theme.Text, "Compute on data nobody else can read, and prove it.")}
	say := func(r theme.Role, s string) {
		for _, l := range part.Wrap(s, min(w-4, 76)) {
			out = append(out, "  "+th.Paint(r, l))
		}
	}
	out = append(out, "")
	say(theme.Dim, "Six acts, each really done: the server and the node are processes of their own, and the cheating ones really cheat. Your own vault is never touched.")
	out = append(out, "")
	tells := func(a demo.Act) []string { return part.Wrap(a.Tell, max(w-27, 1)) }
	need := len(out)
	for _, a := range st.hook.Acts {
		need += len(tells(a))
	}
	if need > h || w < 60 {
		tells = func(a demo.Act) []string { return []string{part.Cut(a.Tell, w-26)} }
	}
	for i, a := range st.hook.Acts {
		mark, role := " ", theme.Dim
		switch {
		case i < st.next && i < len(st.reports) && !st.reports[i].OK:
			mark = th.Bold(theme.Bad, "✗")
		case i < st.next:
			mark = th.Bold(theme.OK, "✓")
		case i == st.next:
			mark, role = th.Bold(theme.Selection, "▸"), theme.Text
		}
		head := "  " + mark + " " + th.Bold(theme.Text, fmt.Sprintf("%d %s", a.Number, part.Fit(a.Title, 17))) + " "
		for _, l := range tells(a) {
			out = append(out, head+th.Paint(role, l))
			head = strings.Repeat(" ", 24)
		}
	}
	if len(out)+2 <= h {
		out = append(out, "", "  "+th.Paint(theme.Faint, "scratch folder "+strings.TrimSpace(plain.Text(st.hook.Home))))
	}
	return out
}

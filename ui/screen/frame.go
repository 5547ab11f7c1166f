package screen

import (
	"fmt"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// The smallest terminal that the workstation can be used on.
const (
	minWidth  = 40
	minHeight = 12
)

// room is how many lines the screen itself has.
func (r *root) room() int { return max(r.h-4-r.statusLines(), 1) }

func (r *root) statusLines() int {
	return len(r.status())
}

// View draws everything.
func (r *root) View() string {
	if r.w == 0 {
		return ""
	}
	if r.w < minWidth || r.h < minHeight {
		lines := part.Wrap(fmt.Sprintf("cipherdeck needs %dx%d; this is %dx%d.", minWidth, minHeight, r.w, r.h), r.w)
		return strings.Join(lines[:min(len(lines), r.h)], "\n")
	}
	cuts := r.now().cuts(r.w)
	body := r.now().view(r.w, r.room())
	if n := len(r.over); n > 0 {
		body = r.cover(body, r.over[n-1])
		if r.over[n-1].whole() {
			cuts = nil
		}
	}
	lines := append([]string{r.header(), r.tabs(), r.rule(cuts)}, body...)
	lines = append(lines, r.status()...)
	lines = append(lines, r.bottom())
	return strings.Join(lines, "\n")
}

// cover puts an overlay over the lower part of the screen, or over all of it.
func (r *root) cover(body []string, o overlay) []string {
	h := len(body)
	most := sheetRoom(h)
	if o.whole() {
		most = h - 1
	}
	in := o.view(r.w, most)
	if o.whole() {
		return append([]string{r.sheet(o.title())}, part.Exactly(in, r.w, h-1)...)
	}
	if len(in) < most {
		in = append(in, "")
	}
	in = in[:min(len(in), most)]
	return append(append(body[:h-len(in)-1:h-len(in)-1], r.sheet(o.title())), part.Exactly(in, r.w, len(in))...)
}

// sheetRoom is how many lines an overlay may have over a body of h, so that
// something of the screen behind stays in sight.
func sheetRoom(h int) int {
	if h <= 16 {
		return h - 1
	}
	return h * 2 / 3
}

// sheet is the upper edge of an overlay.
func (r *root) sheet(title string) string {
	th := r.s.th
	t := part.Cut(title, r.w-6)
	return th.Paint(theme.Border, "── ") + th.Bold(theme.Text, t) + " " + th.Paint(theme.Border, strings.Repeat("─", max(r.w-part.Width(t)-4, 0)))
}

func (r *root) rule(cuts []int) string {
	line := []rune(strings.Repeat("─", r.w))
	for _, c := range cuts {
		if c > 0 && c < len(line) {
			line[c] = '┬'
		}
	}
	return r.s.th.Paint(theme.Border, string(line))
}

func (r *root) header() string {
	th, f := r.s.th, r.s.data.facts
	left := " " + th.Bold(theme.Accent, "cipherdeck")
	sep := th.Paint(theme.Faint, " · ")
	if r.s.story != nil {
		left += sep + th.Bold(theme.Info, "DEMO")
	}
	if f.Name != "" && r.w >= 60 {
		left += sep + th.Paint(theme.Text, part.Cut(plain.Text(f.Name), 24))
	}
	if f.Unlocked {
		left += sep + th.Paint(theme.Chrome, "unlocked") + sep + r.badge()
	} else {
		left += sep + th.Paint(theme.Warn, "locked")
	}
	right := r.clock.Format("15:04") + " "
	if n := r.running(); n > 0 {
		right = th.Bold(theme.Info, fmt.Sprintf("%d run ▸ %s", n, r.share())) + "  " + right
	}
	return part.Ends(left, right, r.w)
}

// share is how far the newest run under way is.
func (r *root) share() string {
	for i := len(r.s.data.runs) - 1; i >= 0; i-- {
		if x := r.s.data.runs[i]; isWorking(&x) && x.Total > 0 {
			return fmt.Sprintf("%.0f %%", 100*min(1, float64(x.Done)/float64(x.Total)))
		}
	}
	return "…"
}

// badge is what vouches for the server chosen, or for the one asked last.
func (r *root) badge() string {
	th := r.s.th
	j, ok := r.judged()
	if !ok {
		return th.Paint(theme.Faint, "no server checked")
	}
	text, role := rootBadge(j)
	if r.w >= 72 {
		text += " " + part.Cut(plain.Text(briefName(j.Server)), 16)
	}
	return th.Bold(role, text)
}

func rootBadge(j app.Judged) (string, theme.Role) {
	switch {
	case isRefusal(j):
		return "✗ REFUSED", theme.Bad
	case j.Err != nil:
		return "✗ " + unread(j.Err), theme.Bad
	case j.Verdict == nil:
		return "? no verdict", theme.Faint
	case j.Verdict.Root == attest.RootSoftware:
		return "SOFTWARE ~ demo", theme.Warn
	case j.Verdict.Root == attest.RootVTPM:
		return "~ vTPM" + byMaker(j.Verdict), theme.Warn
	case j.Verdict.Root == attest.RootHardware:
		return "✓ HARDWARE TPM" + byMaker(j.Verdict), theme.OK
	}
	return "✓ " + j.Verdict.Root.String(), theme.OK
}

// judged is the verdict that the badge is about. A refusal that nobody moved
// away from is shown on every screen.
func (r *root) judged() (app.Judged, bool) {
	for _, s := range r.screens {
		if v, ok := s.(*servers); ok && v.caught != nil {
			return *v.caught, true
		}
	}
	if v, ok := r.now().(*servers); ok {
		if e, ok := v.chosen(); ok && e.judged != nil {
			return *e.judged, true
		}
		return app.Judged{}, false
	}
	var newest app.Judged
	var at time.Time
	for _, j := range r.s.data.verdicts {
		if j.At.After(at) {
			newest, at = j, j.At
		}
	}
	return newest, !at.IsZero()
}

func (r *root) tabs() string {
	th := r.s.th
	if !r.s.data.facts.Unlocked {
		return part.Fit(th.Bold(theme.Selection, "▌")+th.Bold(theme.Text, r.unlock.title()), r.w)
	}
	var b strings.Builder
	for i, s := range r.screens {
		t := fmt.Sprintf("%d %s", i+1, s.title())
		if i == r.at {
			b.WriteString(th.Bold(theme.Selection, "▌") + th.Bold(theme.Text, t) + "  ")
		} else {
			b.WriteString(" " + th.Paint(theme.Dim, t) + "  ")
		}
	}
	return part.Ends(b.String(), th.Paint(theme.Faint, ": commands  ? help "), r.w)
}

func (r *root) status() []string {
	line := r.statusLine()
	if r.s.story == nil {
		return []string{part.Fit(line, r.w)}
	}
	top, below := r.s.story.lines(r.w)
	if r.said.how != sayNothing && !r.story.working {
		clear(below) // as many lines as before: nothing jumps
		below[0] = line
	}
	out := []string{part.Fit(top, r.w)}
	for _, l := range below {
		out = append(out, part.Fit(l, r.w))
	}
	return out
}

func (r *root) statusLine() string {
	th := r.s.th
	if n := len(r.s.works); n > 0 {
		w := r.s.works[n-1]
		line := " " + th.Bold(theme.Info, "▸ ") + w.a.Title + "  " + th.Paint(theme.Dim, w.gauge.Brief())
		if r.idle.owed != "" {
			line += "  " + th.Bold(theme.Warn, "! ") + r.owes()
		}
		return line
	}
	if r.idle.owed != "" {
		return " " + th.Bold(theme.Warn, "! ") + r.owes()
	}
	text := plain.Text(r.said.text)
	switch r.said.how {
	case sayGood:
		return " " + th.Bold(theme.OK, "✓ ") + text
	case sayBad:
		return " " + th.Bold(theme.Bad, "✗ ") + th.Paint(theme.Bad, text)
	case sayNote:
		return " " + th.Bold(theme.Warn, "! ") + text
	}
	return ""
}

// bottom is the line of keys.
func (r *root) bottom() string {
	var hs []hint
	if n := len(r.over); n > 0 {
		hs = r.over[n-1].hints()
	} else {
		hs = append(hs, r.now().hints()...)
		if r.s.data.facts.Unlocked {
			hs = append(r.s.actionHints(r.now().name()), hs...)
			hs = append(hs, hint{"q", "quit"})
		}
	}
	if r.s.story != nil {
		next := r.story.hint()
		if next[0] != "" && !r.isNext(part.Key{Name: nextKey}) {
			next[0] = nextAnyKey
		}
		hs = append([]hint{next}, hs...)
	}
	return part.Fit(keyLine(r.s.th, hs, r.w), r.w)
}

// keyLine draws as many hints as fit whole.
func keyLine(th theme.Theme, hs []hint, w int) string {
	out, used := "", 1
	for _, h := range hs {
		if h[0] == "" {
			continue
		}
		n := part.Width(h[0]) + 1 + part.Width(h[1])
		if used > 1 {
			n += 3
		}
		if used+n > w {
			break
		}
		if used > 1 {
			out += th.Paint(theme.Faint, " · ")
		}
		out += th.Bold(theme.Key, h[0]) + " " + th.Paint(theme.Dim, h[1])
		used += n
	}
	return " " + out
}

// faultLines explains an error: what, where, and what to do.
func faultLines(th theme.Theme, err error) []string {
	f := app.Explain(err)
	out := []string{"✗ " + f.Cause}
	if f.Cure != "" {
		out = append(out, "→ "+f.Cure)
	}
	return marked(th, append(out, "  code "+f.Code))
}

// marked makes lines from outside safe, and gives those that begin with a
// glyph its colour.
func marked(th theme.Theme, lines []string) []string {
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		l = plain.Text(l)
		body := strings.TrimLeft(l, " ")
		indent := l[:len(l)-len(body)]
		glyph, rest, _ := strings.Cut(body, " ")
		role, ok := map[string]theme.Role{"✓": theme.OK, "✗": theme.Bad, "!": theme.Warn, "?": theme.Warn, "~": theme.Warn, "→": theme.Info, "▸": theme.Info}[glyph]
		if !ok {
			out = append(out, l)
			continue
		}
		out = append(out, indent+th.Bold(role, glyph)+" "+rest)
	}
	return out
}

// byMaker is the first word of who certified a TPM.
func byMaker(v *attest.Verdict) string {
	maker, _, _ := strings.Cut(plain.Text(v.Maker), " ")
	if maker == "" {
		return ""
	}
	return " (" + part.Cut(maker, 18) + ")"
}

package screen

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// jobs lists the runs of this session, newest first; beside it the chosen
// one: what was promised, how far it is, what came of it.
type jobs struct {
	s      *session
	list   part.List
	scroll part.Scroll
	pane   int
	seen   int // runs there were when last looked
}

func newJobs(s *session) *jobs { return &jobs{s: s} }

func (j *jobs) name() string               { return "jobs" }
func (j *jobs) title() string              { return "Jobs" }
func (j *jobs) open() cmd                  { return nil }
func (j *jobs) pick(string) (string, bool) { return "", false }

func (j *jobs) hints() []hint {
	if j.pane == 1 {
		return []hint{{"j k", "scroll"}, {"esc", "back"}}
	}
	return []hint{{"enter", "read"}}
}

func (j *jobs) event(m msg) cmd {
	if _, ok := m.(boardMoved); ok {
		if n := len(j.s.data.runs); n != j.seen {
			j.list.At, j.seen, j.scroll.Off = 0, n, 0
		}
	}
	return nil
}

func (j *jobs) key(k part.Key) (cmd, bool) {
	n := len(j.s.data.runs)
	switch k.Name {
	case "tab", "shift+tab":
		j.pane = 1 - j.pane
		return nil, true
	case "enter", "right", "l":
		if n > 0 {
			j.pane = 1
		}
		return nil, true
	case "esc", "left", "h":
		j.pane = 0
		return nil, true
	}
	if j.pane == 1 {
		w := j.s.w
		if lw := j.width(w); lw < w {
			w -= lw + 1
		}
		all := len(j.lines(w))
		return nil, j.scroll.Key(k, all, min(all, j.s.h-5))
	}
	if !j.list.Key(k, n, 10) {
		return nil, false
	}
	j.scroll.Off = 0
	return nil, true
}

// at is run i of the list: newest first.
func (j *jobs) at(i int) *app.RunRecord { return &j.s.data.runs[len(j.s.data.runs)-1-i] }

func isWorking(r *app.RunRecord) bool { return r.State == app.RunWorking }

func (j *jobs) width(w int) int {
	switch {
	case w >= 100:
		return max(28, w/4)
	case w >= 60:
		return max(22, w/4)
	}
	return w
}

func (j *jobs) cuts(w int) []int {
	if lw := j.width(w); lw < w && len(j.s.data.runs) > 0 {
		return []int{lw}
	}
	return nil
}

func (j *jobs) view(w, h int) []string {
	if len(j.s.data.runs) == 0 {
		return part.Exactly(j.empty(w), w, h)
	}
	lw := j.width(w)
	if lw == w {
		if j.pane == 0 {
			return part.Exactly(j.viewList(w, h), w, h)
		}
		return part.Exactly(j.viewRun(w, h), w, h)
	}
	rw := w - lw - 1
	return part.Beside(j.s.th.Paint(theme.Border, "│"), part.Exactly(j.viewList(lw, h), lw, h), part.Exactly(j.viewRun(rw, h), rw, h))
}

func (j *jobs) empty(w int) []string {
	th := j.s.th
	out := []string{"", "  " + th.Bold(theme.Text, "No runs in this session."), ""}
	for _, l := range part.Wrap("A run encrypts rows here, has them scored by a node that sees them only encrypted, checks hidden canaries and decrypts the answer here.", min(w-4, 70)) {
		out = append(out, "  "+th.Paint(theme.Dim, l))
	}
	return append(out, "", "  "+th.Bold(theme.Key, "p")+" shows what a run would cost, "+th.Bold(theme.Key, "r")+" starts one")
}

func stateOf(r *app.RunRecord) (string, theme.Role) {
	switch r.State {
	case app.RunWorking:
		return "▸ running", theme.Info
	case app.RunDone:
		return "✓ done", theme.OK
	case app.RunRejected:
		return "✗ REJECTED", theme.Bad
	}
	if errors.Is(r.Err, attest.ErrRefused) {
		return "✗ not sent", theme.Bad
	}
	return "✗ failed", theme.Bad
}

func (j *jobs) viewRun(w, h int) []string {
	all := j.lines(w)
	out := j.scroll.Slice(all, h)
	if j.scroll.Off+h < len(all) {
		out = append([]string(nil), out...)
		out[h-1] = part.Ends(part.Cut(out[h-1], w-8), j.s.th.Paint(theme.Faint, "more ↓ "), w)
	}
	return out
}

func (j *jobs) viewList(w, h int) []string {
	th, n := j.s.th, len(j.s.data.runs)
	out := []string{" " + part.Ends(th.Bold(theme.Text, "Runs"), th.Paint(theme.Faint, fmt.Sprint(n)+" "), w-1)}
	from, to := part.Window(j.list.At, n, (h-1)/2)
	for i := from; i < to; i++ {
		r := j.at(i)
		word, role := stateOf(r)
		out = append(out,
			part.Ends(lead(th, i == j.list.At, j.pane == 0)+" "+strong(th, fmt.Sprintf("#%d", r.Number), i == j.list.At)+" "+th.Bold(role, word), th.Paint(theme.Faint, r.Started.Format("15:04")+" "), w),
			"     "+th.Paint(theme.Dim, part.Cut(plain.Text(r.Spec.Data), w-6)))
	}
	return out
}

// sheet collects labelled lines.
type sheet struct {
	th    theme.Theme
	w     int
	lines []string
}

// labels is how wide the labels are.
const labels = 11

func (s *sheet) add(label string, r theme.Role, text string) {
	for i, l := range part.Wrap(text, s.w-labels-2) {
		if i > 0 {
			label = ""
		}
		s.lines = append(s.lines, " "+s.th.Paint(theme.Dim, part.Fit(label, labels))+s.th.Paint(r, l))
	}
}

func (s *sheet) strong(label string, r theme.Role, text string) {
	for i, l := range part.Wrap(text, s.w-labels-2) {
		if i > 0 {
			label = ""
		}
		s.lines = append(s.lines, " "+s.th.Paint(theme.Dim, part.Fit(label, labels))+s.th.Bold(r, l))
	}
}

func (s *sheet) gap() { s.lines = append(s.lines, "") }

// lines are all lines about the chosen run.
func (j *jobs) lines(w int) []string {
	th, r := j.s.th, j.at(min(j.list.At, len(j.s.data.runs)-1))
	word, role := stateOf(r)
	s := &sheet{th: th, w: w}
	took := part.Span(r.Ended.Sub(r.Started))
	if isWorking(r) {
		took = part.Span(j.s.now().Sub(r.Started).Round(100_000_000))
	}
	s.lines = append(s.lines,
		part.Ends(" "+th.Bold(theme.Text, fmt.Sprintf("Run #%d", r.Number))+"  "+th.Bold(role, word), th.Paint(theme.Dim, took+" "), w),
		" "+th.Paint(theme.Faint, part.Cut(plain.Text(r.Project)+" · "+plain.Text(r.Spec.Model)+" on "+plain.Text(r.Spec.Data), w-2)), "")
	if isWorking(r) {
		g := part.Gauge{Phase: r.Phase, Done: r.Done, Total: r.Total, Unit: r.Unit, Since: r.Since}
		for _, l := range g.Lines(th, w-2, j.s.now()) {
			s.lines = append(s.lines, " "+l)
		}
		s.gap()
	}
	j.outcome(s, r)
	if r.Plan != nil {
		plan(s, r.Plan)
	}
	return s.lines
}

// outcome is what came of a run.
func (j *jobs) outcome(s *sheet, r *app.RunRecord) {
	switch {
	case isWorking(r):
		return
	case r.State == app.RunRejected:
		f := app.Explain(r.Err)
		s.strong("REJECTED", theme.Bad, plain.Text(f.Cause))
		s.add("", theme.Text, "no score of this answer was kept")
		if f.Cure != "" {
			s.add("do", theme.Text, "→ "+f.Cure)
		}
	case r.State == app.RunFailed:
		f := app.Explain(r.Err)
		label := "failed"
		if errors.Is(r.Err, attest.ErrRefused) {
			label = "refused"
		}
		s.strong(label, theme.Bad, plain.Text(f.Cause))
		if label == "refused" {
			s.add("", theme.Text, "the server's evidence was refused: nothing of this run was sent")
		}
		if f.Cure != "" {
			s.add("do", theme.Text, "→ "+f.Cure)
		}
	case r.Outcome != nil:
		scores(s, r.Outcome)
	}
	if o := r.Outcome; o != nil {
		checks(s, o, r.State)
	}
	s.gap()
}

func scores(s *sheet, o *app.Outcome) {
	if o.HasTruth {
		s.strong("AUC", theme.Text, fmt.Sprintf("encrypted %.4f %s clear %.4f; base rate %.3f", o.AUC, equals(o.AUC, o.AUCClear), o.AUCClear, o.BaseRate))
	}
	s.add("error", theme.Text, fmt.Sprintf("of a logit %.2g, promised at most %.2g", o.MaxError, o.ErrorBound))
	rows := part.Count(int64(o.Rows))
	if o.Replicated {
		rows += ", replicated to measure speed"
	}
	s.add("rows", theme.Text, rows)
	rate := part.Count(int64(o.RowsPerSec)) + " rows/s end to end"
	if o.Replicated {
		rate += ", replicated"
	}
	s.strong("speed", theme.Text, rate)
	s.add("time", theme.Dim, "encrypt "+seconds(o.Seconds.Encrypt)+" · compute "+seconds(o.Seconds.Compute)+" · decrypt "+seconds(o.Seconds.Decrypt))
}

// seconds is a length of time for a person.
func seconds(s float64) string { return part.Span(time.Duration(s * float64(time.Second))) }

// equals is the sign between two figures shown to four places.
func equals(a, b float64) string {
	if fmt.Sprintf("%.4f", a) == fmt.Sprintf("%.4f", b) {
		return "="
	}
	return "≠"
}

func checks(s *sheet, o *app.Outcome, st app.RunState) {
	word := "in the batches"
	if st == app.RunDone {
		word = "all came back right"
	}
	if o.Canaries > 0 {
		s.add("canaries", theme.Text, fmt.Sprintf("%d, %s", o.Canaries, word))
		s.add("caught if", theme.Dim, fmt.Sprintf("1%% wrong: %s; 5%%: %s; 20%%: %s", odds(o.Caught.One), odds(o.Caught.Five), odds(o.Caught.Twenty)))
	}
	if o.BytesUp+o.BytesDown > 0 {
		s.add("sent", theme.Dim, fmt.Sprintf("%s up, %s down: ciphertext, model and plan", part.Size(o.BytesUp), part.Size(o.BytesDown)))
	}
	if o.Node != "" {
		where := "node " + brief(plain.Text(o.Node))
		if o.Node == "here" {
			where = "this machine: nothing was sent"
		}
		if o.Engine != "" {
			where += " · " + plain.Text(o.Engine)
		}
		s.add("computed", theme.Dim, where)
	}
}

// odds is a probability for a person; it never rounds up to certainty.
func odds(p float64) string {
	switch {
	case p >= 1:
		return "always"
	case p > 0.9999:
		return ">99.99%"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", 100*p), ".0") + "%"
}

// plan is what was decided and promised before anything was sent.
func plan(s *sheet, p *fhe.Plan) {
	f, c := p.Forecast, p.Core
	s.lines = append(s.lines, " "+s.th.Bold(theme.Text, "Plan")+s.th.Paint(theme.Faint, "  made before anything was sent"))
	s.add("scheme", theme.Text, fmt.Sprintf("CKKS, LogN %d, %d features, levels %d", c.Params.LogN, c.Features, c.Levels))
	s.add("security", theme.Text, fmt.Sprintf("log2 QP %.1f bits; 128-bit bound %.1f", f.LogQP, f.LogQPBound))
	s.add("", theme.Faint, plain.Text(f.BoundSource))
	s.add("rows", theme.Text, fmt.Sprintf("%s; batches %d × %s, canaries %d in each", part.Count(int64(f.Rows)), f.Batches, part.Count(int64(c.BatchRows())), f.Canaries))
	keys := "no keys"
	if f.KeyBytes > 0 {
		keys = part.Amount(f.KeyBytes, progress.Bytes) + " of evaluation keys"
	}
	s.add("traffic", theme.Text, fmt.Sprintf("%s up, %s down, %s", part.Size(f.BytesUp), part.Size(f.BytesDown), keys))
	s.add("forecast", theme.Text, fmt.Sprintf("about %s here; logit error at most %.2g", seconds(f.Seconds), f.MaxError))
	s.add("leaks", theme.Dim, "node and server learn the model, the plan and the number of batches; of the rows nothing")
}

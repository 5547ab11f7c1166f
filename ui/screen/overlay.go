package screen

import (
	"fmt"
	"slices"
	"strings"

	"cipherdeck/ui/action"
	"cipherdeck/ui/part"
	"cipherdeck/ui/theme"
)

// textOver shows lines that can be scrolled and closed.
type textOver struct {
	s      *session
	head   string
	lines  []string // safe to draw
	scroll part.Scroll
}

func newText(s *session, head string, lines []string) *textOver {
	return &textOver{s: s, head: head, lines: lines}
}

func (t *textOver) title() string { return t.head }
func (t *textOver) whole() bool   { return false }
func (t *textOver) hints() []hint { return []hint{{"esc", "close"}, {"j k", "scroll"}} }

func (t *textOver) key(k part.Key, h int) (cmd, bool) {
	lines := t.wrapped(t.s.w)
	if t.scroll.Key(k, len(lines), min(len(lines), sheetRoom(h))) {
		return nil, false
	}
	return nil, k.Name == "esc" || k.Name == "enter" || k.Name == "q"
}

func (t *textOver) wrapped(w int) []string {
	var all []string
	for _, l := range t.lines {
		for _, x := range part.Hang(l, w-2) {
			all = append(all, " "+x)
		}
	}
	return all
}

func (t *textOver) view(w, h int) []string {
	all := t.wrapped(w)
	if len(all) <= h {
		return all
	}
	out := slices.Clone(t.scroll.Slice(all, h))
	if below := all[min(t.scroll.Off+h-1, len(all)):]; t.scroll.Off+h < len(all) {
		out[h-1] = t.more(below, w)
	}
	return out
}

// more says in the last line what is out of sight, and the word that must not
// be missed.
func (t *textOver) more(below []string, w int) string {
	th, text := t.s.th, fmt.Sprintf("%d more lines ↓ ", len(below))
	for _, word := range loud() {
		for _, l := range below {
			if strings.Contains(l, word) {
				return part.Ends(" "+th.Bold(theme.Bad, "✗ "+word+" is below"), th.Bold(theme.Key, "j ")+th.Bold(theme.Text, text), w)
			}
		}
	}
	return part.Ends("", th.Bold(theme.Key, "j ")+th.Bold(theme.Text, text), w)
}

// loud are the words of a report that say that something was refused.
func loud() []string { return []string{"REJECTED", "FAIL"} }

// formOver asks for the fields of a form.
type formOver struct {
	s    *session
	form *part.Form
	send func(*formOver) cmd // what to do with it; nil to do nothing
}

func (f *formOver) title() string { return f.form.Title }
func (f *formOver) whole() bool   { return false }
func (f *formOver) hints() []hint { return f.form.Hint() }

func (f *formOver) key(k part.Key, _ int) (cmd, bool) {
	switch f.form.Key(k) {
	case part.Cancel:
		return nil, true
	case part.Send:
		return f.send(f), true
	}
	return nil, false
}

func (f *formOver) view(w, h int) []string {
	lines, at := f.form.Lines(f.s.th, w)
	from, to := part.Window(at, len(lines), h)
	return lines[from:to]
}

// newAsk asks yes or no; no is in focus.
func newAsk(s *session, title, text, verb string, then func(yes bool) cmd) overlay {
	f := &part.Form{Title: title, Intro: text, Submit: "answer", Fields: []*part.Field{{
		Name: "sure", Label: "Do it?", Kind: part.Choice,
		Options: []part.Option{{Label: "no, go back", Value: "no"}, {Label: "yes, " + verb, Value: "yes"}}}}}
	return &askOver{formOver{s: s, form: f}, then}
}

// askOver is a form whose leaving is an answer too.
type askOver struct {
	formOver
	then func(bool) cmd
}

func (a *askOver) key(k part.Key, _ int) (cmd, bool) {
	switch a.form.Key(k) {
	case part.Cancel:
		return a.then(false), true
	case part.Send:
		return a.then(a.form.Field("sure").Value() == "yes"), true
	}
	return nil, false
}

// helpOver lists what can be done: on one screen, or anywhere.
type helpOver struct {
	s     *session
	on    string // screen; "" for all
	rows  []row
	query part.Input
	list  part.List
}

func newHelp(s *session, on string, moves []hint) *helpOver {
	h := &helpOver{s: s, on: on}
	for _, a := range s.actions {
		k := bound(a, on)
		if !offered(a) || on != "" && k == "" {
			continue
		}
		where := a.Screen
		if on == "" && where != "" {
			k = bound(a, where)
		}
		h.rows = append(h.rows, row{key: k, title: a.Title, where: where, why: a.Blocked(s.data.facts), a: a})
	}
	if on != "" {
		for _, m := range append(moves, hint{"R", "read again"}) {
			h.rows = append(h.rows, row{key: m[0], title: m[1], where: "move"})
		}
	}
	h.rows = append(h.rows, globals(s)...)
	return h
}

func (h *helpOver) title() string {
	if h.on == "" {
		return "All commands"
	}
	return "Help: " + h.on
}

func (h *helpOver) whole() bool { return true }
func (h *helpOver) hints() []hint {
	return []hint{{"type", "to filter"}, {"↑↓", "choose"}, {"enter", "run"}, {"esc", "close"}}
}

func (h *helpOver) key(k part.Key, room int) (cmd, bool) {
	rows := filter(h.query.Text(), h.rows)
	switch k.Name {
	case "esc":
		return nil, true
	case "enter":
		if h.list.At >= len(rows) || rows[h.list.At].why != "" {
			return nil, false
		}
		return rows[h.list.At].run(), rows[h.list.At].runs()
	case "up", "down", "pgup", "pgdown":
		h.list.Key(k, len(rows), room-4)
		return nil, false
	}
	if h.query.Key(k) {
		h.list.At = 0
	}
	return nil, false
}

func (r row) runs() bool { return r.a != nil || r.press.Name != "" }

func (r row) run() cmd {
	switch {
	case r.a != nil:
		return func() msg { return perform{r.a} }
	case r.press.Name != "":
		return func() msg { return press{r.press} }
	}
	return nil
}

func (h *helpOver) view(w, room int) []string {
	th := h.s.th
	rows := filter(h.query.Text(), h.rows)
	out := []string{" " + th.Bold(theme.Key, "/ ") + h.query.View(th, w-4, true), ""}
	foot := h.foot(rows, w)
	n := room - len(out) - len(foot)
	from, to := part.Window(h.list.At, len(rows), n)
	for i := from; i < to; i++ {
		out = append(out, h.line(rows[i], i == h.list.At, w))
	}
	if len(rows) == 0 {
		out = append(out, "   "+th.Paint(theme.Dim, "nothing is called that; backspace shows more"))
	}
	for len(out) < room-len(foot) {
		out = append(out, "")
	}
	return append(out, foot...)
}

func (h *helpOver) line(r row, at bool, w int) string {
	th := h.s.th
	mark, title := " ", th.Paint(theme.Text, r.title)
	if at {
		mark, title = th.Bold(theme.Selection, "▌"), th.Bold(theme.Text, r.title)
	}
	key := th.Bold(theme.Key, part.Fit(r.key, 9))
	if r.why != "" {
		key = th.Paint(theme.Faint, part.Fit(r.key, 9))
		title = th.Paint(theme.Faint, r.title) + th.Paint(theme.Warn, "  ! "+r.why)
	}
	return part.Ends(mark+key+title, th.Paint(theme.Faint, r.where+" "), w)
}

// foot explains the chosen row: its paragraph and the command that does it.
func (h *helpOver) foot(rows []row, w int) []string {
	if h.list.At >= len(rows) || rows[h.list.At].a == nil {
		return nil
	}
	th, a := h.s.th, rows[h.list.At].a
	out := []string{th.Paint(theme.Border, strings.Repeat("─", w))}
	for i, l := range part.Wrap(a.Help, w-2) {
		if i == 4 {
			break
		}
		out = append(out, " "+th.Paint(theme.Dim, l))
	}
	return append(out, " "+th.Paint(theme.Faint, "by hand: ")+part.Cut("cipherdeck "+a.Usage(), w-11))
}

var _ = action.Safe

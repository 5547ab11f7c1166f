package screen

import (
	"fmt"
	"time"

	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
	"cipherdeck/vault/project"
)

// projects lists the projects; beside it, what is in the chosen one and who
// can read it.
type projects struct {
	s     *session
	list  part.List
	items part.List
	team  part.List
	pane  int // 0 projects, 1 items, 2 people
	gen   int
	busy  bool
	slow  bool // it takes long enough to say so
	err   error
	want  string // name of the project to choose as soon as it is there
}

func newProjects(s *session) *projects { return &projects{s: s} }

func (p *projects) name() string  { return "projects" }
func (p *projects) title() string { return "Projects" }
func (p *projects) hints() []hint { return []hint{{"tab", "next pane"}} }

// chosen is the project in focus, or nil.
func (p *projects) chosen() *app.ProjectInfo {
	if p.list.At >= len(p.s.data.projects) {
		return nil
	}
	return &p.s.data.projects[p.list.At]
}

func (p *projects) detail() *detail {
	if c := p.chosen(); c != nil {
		return p.s.data.detail[c.ID.String()]
	}
	return nil
}

func (p *projects) pick(arg string) (string, bool) {
	switch arg {
	case "project":
		if c := p.chosen(); c != nil {
			return c.ID.String(), true
		}
	case "uid":
		if m := p.people(); p.pane == 2 && p.team.At < len(m) {
			return m[p.team.At].UID, true
		}
	}
	return "", false
}

// settled says that the choice has not moved for a moment.
type settled struct{ gen int }

// slow says that a load has taken long enough to mention.
type slow struct{ gen int }

// How long the choice must rest before a project is read, and how long reading
// may take in silence.
const (
	restFor   = 120 * time.Millisecond
	silentFor = 150 * time.Millisecond
)

func (p *projects) open() cmd {
	p.list.Clamp(len(p.s.data.projects))
	c := p.chosen()
	if c == nil || !p.s.data.facts.Unlocked {
		return nil
	}
	p.gen++
	p.busy, p.slow = true, false
	p.s.project = c.ID.String()
	return all(p.s.openProject(c.ID.String(), p.gen), after(silentFor, slow{p.gen}))
}

func (p *projects) event(m msg) cmd {
	switch m := m.(type) {
	case surveyed:
		p.settle()
		if c := p.chosen(); c != nil && p.s.project != c.ID.String() {
			return p.open()
		}
	case settled:
		if m.gen == p.gen {
			return p.open()
		}
	case slow:
		p.slow = p.slow || m.gen == p.gen && p.busy
	case opened:
		if m.gen == p.gen {
			p.busy, p.slow, p.err = false, false, m.err
			if m.err == nil {
				p.s.data.detail[m.key] = m.detail
			}
		}
	case acted:
		if m.err == nil && m.w.a.ID == "project.new" {
			p.want = m.w.args.Get("name")
		}
		if m.err == nil && m.w.a.Screen == "projects" {
			return p.open()
		}
	}
	return nil
}

// settle finds the project that is wanted, or else the one that was chosen:
// the list may have changed around it.
func (p *projects) settle() {
	for i, x := range p.s.data.projects {
		if p.want != "" && x.Name == p.want {
			p.list.At, p.want = i, ""
			return
		}
		if x.ID.String() == p.s.project {
			p.list.At = i
		}
	}
	p.list.Clamp(len(p.s.data.projects))
}

func (p *projects) key(k part.Key) (cmd, bool) {
	switch k.Name {
	case "tab":
		p.pane = (p.pane + 1) % 3
		return nil, true
	case "shift+tab":
		p.pane = (p.pane + 2) % 3
		return nil, true
	case "right", "l", "enter":
		p.pane = min(p.pane+1, 2)
		return nil, true
	case "left", "h", "esc":
		p.pane = max(p.pane-1, 0)
		return nil, true
	}
	switch p.pane {
	case 1:
		if d := p.detail(); d != nil {
			return nil, p.items.Key(k, len(d.Items), 10)
		}
		return nil, false
	case 2:
		return nil, p.team.Key(k, len(p.people()), 10)
	}
	was := p.list.At
	if !p.list.Key(k, len(p.s.data.projects), 10) {
		return nil, false
	}
	if was == p.list.At {
		return nil, true
	}
	p.gen++
	p.err, p.items.At, p.team.At = nil, 0, 0
	if c := p.chosen(); c != nil {
		p.s.project = c.ID.String()
	}
	return after(restFor, settled{p.gen}), true
}

// people are the members of the chosen project, then everybody else known.
func (p *projects) people() []member {
	var out []member
	seen := map[string]bool{}
	if d := p.detail(); d != nil {
		for _, m := range d.Members {
			seen[m.UID] = true
			out = append(out, p.fresh(m))
		}
	}
	for _, q := range p.s.data.people {
		if !seen[q.UID] {
			out = append(out, member{Name: q.Name, UID: q.UID, Verified: q.Verified, Words: q.Words})
		}
	}
	return out
}

// fresh is m with what is known of him by now: words may have been compared
// since the project was read.
func (p *projects) fresh(m member) member {
	for _, q := range p.s.data.people {
		if q.UID == m.UID {
			m.Verified, m.Words = q.Verified, q.Words
		}
	}
	return m
}

// widths are the widths of the panes: list, items, people. A pane that is not
// shown beside has width 0.
func (p *projects) widths(w int) (list, items, team int) {
	switch {
	case w >= 100:
		list, team = max(24, w/5), max(34, w*3/10)
		return list, w - list - team - 2, team
	case w >= 60:
		list = max(22, w/4)
		return list, w - list - 1, 0
	}
	return w, 0, 0
}

func (p *projects) cuts(w int) []int {
	list, items, team := p.widths(w)
	switch {
	case len(p.s.data.projects) == 0 || items == 0:
		return nil
	case team > 0:
		return []int{list, list + items + 1}
	}
	return []int{list}
}

func (p *projects) view(w, h int) []string {
	if len(p.s.data.projects) == 0 {
		return part.Exactly(p.empty(w), w, h)
	}
	lw, iw, tw := p.widths(w)
	sep := p.s.th.Paint(theme.Border, "│")
	switch {
	case tw > 0:
		return part.Beside(sep, part.Exactly(p.viewList(lw, h), lw, h), part.Exactly(p.viewItems(iw, h, true), iw, h), part.Exactly(p.viewTeam(tw, h), tw, h))
	case iw > 0:
		th := min(max(len(p.people())+4, 7), h/2)
		right := append(part.Exactly(p.viewItems(iw, h-th, true), iw, h-th), part.Exactly(p.viewTeam(iw, th), iw, th)...)
		return part.Beside(sep, part.Exactly(p.viewList(lw, h), lw, h), right)
	case p.pane == 0:
		return part.Exactly(p.viewList(w, h), w, h)
	case p.pane == 1:
		return part.Exactly(p.viewItems(w, h, true), w, h)
	}
	return part.Exactly(p.viewTeam(w, h), w, h)
}

func (p *projects) empty(w int) []string {
	th := p.s.th
	out := []string{"", "  " + th.Bold(theme.Text, "No projects yet."), ""}
	text := "A project is a set of datasets and models that some people share and the server cannot read."
	for _, l := range part.Wrap(text, min(w-4, 70)) {
		out = append(out, "  "+th.Paint(theme.Dim, l))
	}
	out = append(out, "")
	if p.s.data.facts.Servers == 0 {
		return append(out, "  First pin a server: "+th.Bold(theme.Key, "2")+" Servers, then "+th.Bold(theme.Key, "n"))
	}
	return append(out, "  "+th.Bold(theme.Key, "n")+" starts one, "+th.Bold(theme.Key, "i")+" opens those that were shared with you")
}

// lead marks a row: chosen in the pane with the focus, chosen, or neither.
func lead(th theme.Theme, at, focused bool) string {
	switch {
	case at && focused:
		return th.Bold(theme.Selection, "▌")
	case at:
		return th.Paint(theme.Faint, "▏")
	}
	return " "
}

// strong is text of a chosen row.
func strong(th theme.Theme, s string, at bool) string {
	if at {
		return th.Bold(theme.Text, s)
	}
	return s
}

func (p *projects) viewList(w, h int) []string {
	th := p.s.th
	all := p.s.data.projects
	out := []string{" " + part.Ends(th.Bold(theme.Text, "Projects"), th.Paint(theme.Faint, fmt.Sprint(len(all))+" "), w-1)}
	from, to := part.Window(p.list.At, len(all), (h-1)/2)
	for i := from; i < to; i++ {
		x := all[i]
		out = append(out,
			lead(th, i == p.list.At, p.pane == 0)+" "+strong(th, part.Cut(plain.Text(x.Name), w-3), i == p.list.At),
			"    "+th.Paint(theme.Faint, part.Cut("on "+plain.Text(x.Server), w-5)))
	}
	return out
}

func (p *projects) viewItems(w, h int, top bool) []string {
	th, c, d := p.s.th, p.chosen(), p.detail()
	out := []string{" " + th.Bold(theme.Text, part.Cut(plain.Text(c.Name), w-2))}
	switch {
	case p.err != nil && !p.busy:
		out = append(out, "")
		for _, l := range append(faultLines(th, p.err), "  R tries again") {
			for _, x := range part.Wrap(l, w-3) {
				out = append(out, " "+x)
			}
		}
		return out
	case d == nil && (p.slow || !p.busy):
		return append(out, "", " "+th.Paint(theme.Dim, "reading and checking its chain…"))
	case d == nil:
		return out
	}
	out[0] = part.Ends(out[0], th.Paint(theme.Dim, fmt.Sprintf("epoch %d · link %d ", d.Epoch, d.Seq)), w)
	for _, n := range d.Notes {
		out = append(out, n.line(th, w))
	}
	out = append(out, "")
	if d.Damage != nil {
		return append(out, p.damage(d, w)...)
	}
	if len(d.Items) == 0 {
		return append(out, " "+th.Paint(theme.Dim, "Nothing in it yet. ")+th.Bold(theme.Key, "e")+th.Paint(theme.Dim, " seals a file into it."))
	}
	name := max(w-37, 8)
	out = append(out, "  "+th.Paint(theme.Faint, part.Fit("kind", 9)+part.Fit("name", name)+part.Right("rows", 8)+part.Right("size", 11)+" epoch"))
	from, to := part.Window(p.items.At, len(d.Items), max(h-4-len(d.Notes), 1))
	for i := from; i < to; i++ {
		out = append(out, p.item(d.Items[i], name, i == p.items.At))
	}
	for _, g := range d.Grants {
		out = append(out, "", " "+th.Paint(theme.Dim, "node ")+part.Cut(nodeName(g), 20)+th.Paint(theme.Dim, " may run jobs until "+g.Until.Format("2 Jan 15:04")))
	}
	return out
}

// nodeName is what a node calls itself, or the start of its user id when that
// says no more than that it is a node.
func nodeName(g grant) string {
	if g.Node == "" || g.Node == "node" {
		return plain.Text(brief(g.UID))
	}
	return plain.Text(g.Node)
}

// damage says that the list of items does not open, and what can still be done.
func (p *projects) damage(d *detail, w int) []string {
	th := p.s.th
	var out []string
	add := func(r theme.Role, text string) {
		for _, l := range part.Hang(text, w-2) {
			out = append(out, " "+th.Paint(r, l))
		}
	}
	add(theme.Bad, "✗ the list of items does not open: "+plain.Text(d.Damage.Error()))
	out = append(out, "")
	add(theme.Text, "→ Members can still be removed: "+th.Bold(theme.Key, "x"))
	add(theme.Text, "→ The last good list comes back with:")
	add(theme.Text, "    cipherdeck project repair "+plain.Text(p.chosen().Name))
	return out
}

// itemName is the name of an item with what is special about it: how many
// versions it had, that two are current, its tags.
func itemName(it project.Item) string {
	name := it.Name
	switch {
	case it.Heads > 1:
		name += fmt.Sprintf(" · %d versions at once!", it.Heads)
	case it.Rev > 1:
		name += fmt.Sprintf(" · v%d", it.Rev)
	}
	for _, t := range it.Tags {
		name += " #" + t
	}
	return name
}

func (p *projects) item(it project.Item, name int, at bool) string {
	th := p.s.th
	rows := ""
	if it.Rows > 0 {
		rows = part.Count(it.Rows)
	}
	return lead(th, at, p.pane == 1) + " " + th.Paint(theme.Dim, part.Fit(plain.Text(string(it.Kind)), 9)) +
		strong(th, part.Fit(plain.Text(itemName(it)), name), at && p.pane == 1) + part.Right(rows, 8) + part.Right(part.Size(it.Size), 11) +
		th.Paint(theme.Dim, part.Right(fmt.Sprint(it.Born()), 6))
}

func (p *projects) viewTeam(w, h int) []string {
	th := p.s.th
	all := p.people()
	out := []string{" " + th.Bold(theme.Text, "People")}
	if len(all) == 0 {
		return append(out, " "+th.Paint(theme.Dim, "nobody yet; ")+th.Bold(theme.Key, "m")+th.Paint(theme.Dim, " meets a person"))
	}
	words := p.words(all, w)
	from, to := part.Window(p.team.At, len(all), max(h-1-len(words), 1))
	for i := from; i < to; i++ {
		out = append(out, p.person(all[i], w, i == p.team.At))
	}
	for len(out)+len(words) < h && len(out) < len(all)+2 {
		out = append(out, "")
	}
	return append(out, words...)
}

func (p *projects) person(m member, w int, at bool) string {
	th := p.s.th
	state := th.Paint(theme.Warn, "? not verified ")
	switch {
	case m.Me:
		state = th.Paint(theme.Dim, "you ")
	case m.Verified:
		state = th.Paint(theme.OK, "✓ verified ")
	}
	role := m.Role
	if role == "" {
		role = "–"
	}
	return part.Ends(lead(th, at, p.pane == 2)+" "+th.Paint(theme.Dim, part.Fit(role, 8))+strong(th, part.Cut(plain.Text(m.Name), max(w-28, 6)), at && p.pane == 2), state, w)
}

// words are the words to compare with the chosen person.
func (p *projects) words(all []member, w int) []string {
	if p.pane != 2 || p.team.At >= len(all) || all[p.team.At].Words == "" {
		return nil
	}
	th, m := p.s.th, all[p.team.At]
	out := []string{" " + th.Paint(theme.Dim, part.Cut("compare by voice with "+plain.Text(m.Name)+":", w-2))}
	for _, l := range part.Wrap(plain.Text(m.Words), w-3) {
		out = append(out, "  "+th.Bold(theme.Text, l))
	}
	return append(out, " "+th.Paint(theme.Faint, part.Cut(m.UID, w-2)))
}

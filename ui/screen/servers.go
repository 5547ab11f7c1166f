package screen

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"cipherdeck/attest"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// servers lists the pinned servers; beside it, the chain of evidence of the
// chosen one, link by link.
type servers struct {
	s       *session
	list    part.List
	links   part.List
	pane    int         // 0 servers, 1 chain
	opened  int         // index of the link opened, -1 for none
	held    mark        // of the row chosen
	want    mark        // of the row to choose as soon as it is there
	shown   time.Time   // of the newest verdict that was looked at
	refused time.Time   // of the newest refusal that was looked at
	caught  *app.Judged // the refusal that stays chosen, nil for none
}

func newServers(s *session) *servers { return &servers{s: s, opened: -1} }

func (v *servers) name() string  { return "servers" }
func (v *servers) title() string { return "Servers" }
func (v *servers) open() cmd     { return nil }

func (v *servers) hints() []hint {
	if v.pane == 1 {
		return []hint{{"enter", "link detail"}, {"esc", "back"}}
	}
	return []hint{{"enter", "go through the links"}}
}

// entry is a row of the list: a pinned server with its newest verdict, or an
// earlier refusal of one.
type entry struct {
	name    string
	pinned  *app.ServerInfo
	judged  *app.Judged
	busy    bool
	earlier bool
}

// entries are the pinned servers, then the refusals that a newer verdict has
// replaced, newest first.
func (v *servers) entries() []entry {
	var out []entry
	for i := range v.s.data.servers {
		e := entry{name: v.s.data.servers[i].Name, pinned: &v.s.data.servers[i]}
		if j, ok := v.s.data.verdicts[e.name]; ok {
			e.judged = &j
		}
		for _, w := range v.s.works {
			e.busy = e.busy || w.a.ID == "attest" && w.args.Get("server") == e.name
		}
		out = append(out, e)
	}
	now := len(out)
	for i := len(v.s.data.refused) - 1; i >= 0; i-- {
		j := v.s.data.refused[i]
		for _, e := range out[:now] {
			if e.name == j.Server && e.judged != nil && outlived(j, *e.judged) {
				out = append(out, entry{name: e.name, pinned: e.pinned, judged: &j, earlier: true})
			}
		}
	}
	return out
}

func (v *servers) chosen() (entry, bool) {
	all := v.entries()
	if v.list.At >= len(all) {
		return entry{}, false
	}
	return all[v.list.At], true
}

func (v *servers) pick(arg string) (string, bool) {
	e, ok := v.chosen()
	return e.name, ok && arg == "server"
}

func (v *servers) event(m msg) cmd {
	switch m := m.(type) {
	case surveyed:
		v.settle()
	case boardMoved:
		v.judgedAnew()
		v.settle()
	case moved:
		v.release()
	case acted:
		if m.w.a.ID == "server.add" && m.err == nil {
			v.release()
			v.want = mark{name: m.w.args.Get("name")}
		}
	}
	return nil
}

// mark tells rows apart when the list changes around them.
type mark struct {
	name string
	at   time.Time // of an earlier refusal; zero for the server itself
}

func (e entry) mark() mark {
	if e.earlier {
		return mark{e.name, e.judged.At}
	}
	return mark{name: e.name}
}

// release lets newer verdicts be seen instead of a refusal: the person moved
// on, or asked anew.
func (v *servers) release() { v.caught, v.want = nil, mark{} }

// settle finds the row that is wanted next, or else the one that was chosen.
// A server that was judged before it is known here is found later.
func (v *servers) settle() {
	all := v.entries()
	find := func(m mark) int { return slices.IndexFunc(all, func(e entry) bool { return e.mark() == m }) }
	if v.caught != nil && v.want.name == "" {
		v.held = v.markOf(*v.caught) // it may have become an earlier refusal
	}
	if i := find(v.want); i >= 0 && v.want.name != "" {
		v.list.At, v.held, v.want = i, v.want, mark{}
		v.links.At, v.opened = 0, -1
		v.toBroken()
		return
	}
	if i := find(v.held); i >= 0 {
		v.list.At = i
	}
	v.list.Clamp(len(all))
	v.hold()
}

func (v *servers) hold() {
	if e, ok := v.chosen(); ok {
		v.held = e.mark()
	}
}

// judgedAnew wants the newest verdict to be seen. A refusal stays: good
// verdicts that follow, in this refresh or in later ones, do not take its
// place, since it would be gone before anybody read it.
func (v *servers) judgedAnew() {
	var newest app.Judged
	for _, j := range v.s.data.verdicts {
		if j.At.After(newest.At) {
			newest = j
		}
	}
	if n := len(v.s.data.refused); n > 0 && v.s.data.refused[n-1].At.After(v.refused) {
		j := v.s.data.refused[n-1]
		v.refused, v.caught, v.want = j.At, &j, v.markOf(j)
	}
	fresh := newest.Server != "" && newest.At.After(v.shown)
	if fresh {
		v.shown = newest.At
	}
	if fresh && v.caught == nil {
		v.want = mark{name: newest.Server}
	}
}

// markOf is the row where refusal j is now: that of its server, or one of its
// own when the server has another answer by now.
func (v *servers) markOf(j app.Judged) mark {
	if now, ok := v.s.data.verdicts[j.Server]; ok && outlived(j, now) {
		return mark{j.Server, j.At}
	}
	return mark{name: j.Server}
}

// isRefusal reports whether a server was asked, answered, and was refused. One
// that was not reached is not refused.
func isRefusal(j app.Judged) bool {
	return j.Verdict != nil && !j.Verdict.OK() || errors.Is(j.Err, attest.ErrRefused)
}

// outlived reports whether a server has another answer now than refusal j.
func outlived(j, now app.Judged) bool {
	if j.Verdict == nil || now.Verdict == nil {
		return !now.At.Equal(j.At)
	}
	a, b := j.Verdict.Broken(), now.Verdict.Broken()
	return b == nil || a == nil || a.ID != b.ID || a.Found != b.Found
}

func (v *servers) toBroken() {
	e, ok := v.chosen()
	if !ok || e.judged == nil || e.judged.Verdict == nil {
		return
	}
	for i, l := range e.judged.Verdict.Links {
		if l.State == attest.Fail {
			v.links.At = i
			return
		}
	}
}

func (v *servers) count() int {
	if e, ok := v.chosen(); ok && e.judged != nil && e.judged.Verdict != nil {
		return len(e.judged.Verdict.Links)
	}
	return 0
}

func (v *servers) key(k part.Key) (cmd, bool) {
	if v.pane == 1 {
		return nil, v.linkKey(k)
	}
	switch k.Name {
	case "tab", "shift+tab", "right", "l", "enter":
		if v.count() > 0 {
			v.pane = 1
		}
		return nil, true
	}
	was := v.list.At
	if !v.list.Key(k, len(v.entries()), 10) {
		return nil, false
	}
	v.release()
	v.hold()
	if was != v.list.At {
		v.links.At, v.opened = 0, -1
		v.toBroken()
	}
	return nil, true
}

func (v *servers) linkKey(k part.Key) bool {
	switch k.Name {
	case "esc", "left", "h", "tab", "shift+tab":
		v.pane = 0
		return true
	case "enter", "d", "right", "l":
		if v.opened == v.links.At {
			v.opened = -1
		} else {
			v.opened = v.links.At
		}
		return true
	}
	return v.links.Key(k, v.count(), 8)
}

func (v *servers) widths(w int) (list, chain, link int) {
	switch {
	case w >= 118:
		list, link = max(22, w/7), max(36, w/4)
		return list, w - list - link - 2, link
	case w >= 60:
		list = max(20, w/5)
		return list, w - list - 1, 0
	}
	return w, 0, 0
}

func (v *servers) cuts(w int) []int {
	list, chain, link := v.widths(w)
	switch {
	case len(v.s.data.servers) == 0 || chain == 0:
		return nil
	case link > 0 && v.count() > 0:
		return []int{list, list + chain + 1}
	}
	return []int{list}
}

func (v *servers) view(w, h int) []string {
	if len(v.s.data.servers) == 0 {
		return part.Exactly(v.empty(w), w, h)
	}
	lw, cw, dw := v.widths(w)
	if cw == 0 {
		if v.pane == 0 {
			return part.Exactly(v.viewList(w, h), w, h)
		}
		return part.Exactly(v.viewChain(w, h, false), w, h)
	}
	sep := v.s.th.Paint(theme.Border, "│")
	if dw == 0 || v.count() == 0 {
		cw = w - lw - 1
		return part.Beside(sep, part.Exactly(v.viewList(lw, h), lw, h), part.Exactly(v.viewChain(cw, h, false), cw, h))
	}
	return part.Beside(sep, part.Exactly(v.viewList(lw, h), lw, h), part.Exactly(v.viewChain(cw, h, true), cw, h), part.Exactly(v.viewLink(dw), dw, h))
}

func (v *servers) empty(w int) []string {
	th := v.s.th
	out := []string{"", "  " + th.Bold(theme.Text, "No server is pinned."), ""}
	for _, l := range part.Wrap("A server stores ciphertext and hands jobs to nodes. Its pairing code says where it is and which key it has; the signer's key says whose programs you accept there.", min(w-4, 70)) {
		out = append(out, "  "+th.Paint(theme.Dim, l))
	}
	return append(out, "", "  "+th.Bold(theme.Key, "n")+" pins one by its pairing code")
}

// word is the state of a server in a glyph and a word.
func (e entry) word() (string, theme.Role) {
	switch {
	case e.busy:
		return "▸ asking…", theme.Info
	case e.judged == nil:
		return "? not asked", theme.Faint
	case isRefusal(*e.judged):
		return "✗ REFUSED", theme.Bad
	case e.judged.Err != nil:
		return "✗ " + unread(e.judged.Err), theme.Bad
	case e.judged.Verdict == nil:
		return "? no verdict", theme.Faint
	case e.judged.Verdict.Root == attest.RootSoftware:
		return "~ demo", theme.Warn
	}
	return "✓ trusted", theme.OK
}

// unread says in two words why there is no verdict.
func unread(err error) string {
	switch app.Explain(err).Code {
	case "unreachable":
		return "not reached"
	case "pin-changed":
		return "WRONG KEY"
	}
	return "failed"
}

func (v *servers) viewList(w, h int) []string {
	th, all := v.s.th, v.entries()
	out := []string{" " + part.Ends(th.Bold(theme.Text, "Servers"), th.Paint(theme.Faint, fmt.Sprint(len(v.s.data.servers))+" "), w-1)}
	from, to := part.Window(v.list.At, len(all), (h-1)/2)
	for i := from; i < to; i++ {
		e := all[i]
		word, role := e.word()
		age, name := "", plain.Text(e.name)
		if e.earlier {
			name = "earlier: " + name
		}
		if e.judged != nil {
			age = part.Ago(e.judged.At, v.s.now())
		}
		out = append(out,
			lead(th, i == v.list.At, v.pane == 0)+" "+strong(th, part.Cut(name, w-3), i == v.list.At),
			part.Ends("   "+th.Paint(role, word), th.Paint(theme.Faint, age+" "), w))
	}
	return out
}

// viewChain is the chain of the chosen server: whole sentences when there is
// room for them, else a line for each link.
func (v *servers) viewChain(w, h int, wide bool) []string {
	th := v.s.th
	e, _ := v.chosen()
	top := v.summary(e, w, 2)
	if e.judged == nil || e.judged.Verdict == nil {
		return append(top, v.noChain(e, w)...)
	}
	foot := v.warning(e, w)
	c := part.Chain{Verdict: e.judged.Verdict, Payload: e.judged.Payload, At: v.links.At, Open: v.opened, Focused: v.pane == 1, Full: true}
	if wide {
		c.Open = -1
	}
	lines, at := c.Lines(th, w)
	if len(top)+len(lines)+len(foot) > h {
		c.Full = false
		lines, at = c.Lines(th, w)
	}
	// The root link says what the warning says: the whole chain is worth more.
	if len(top)+len(lines)+len(foot) > h && len(lines) < h {
		foot = nil
		top = v.summary(e, w, h-len(lines))
	}
	n := max(h-len(top)-len(foot), 1)
	from, to := v.window(lines, at, n)
	return append(append(top, lines[from:to]...), foot...)
}

// window keeps the chosen link and what is opened under it in sight.
func (v *servers) window(lines []string, at, n int) (from, to int) {
	if len(lines) <= n {
		return 0, len(lines)
	}
	from = max(0, min(at-n/3, len(lines)-n))
	return from, from + n
}

// summary is what became of a server, and what is pinned about it, in at most
// n lines. The word of the verdict is never cut: the counts go to the second
// line when the first has no room, and without a second line the name gives
// way, which the list shows too.
func (v *servers) summary(e entry, w, n int) []string {
	th := v.s.th
	word, role := e.word()
	if e.earlier {
		word += " at " + e.judged.At.Format("15:04:05")
	}
	counts := ""
	if e.judged != nil && e.judged.Verdict != nil {
		counts = th.Paint(theme.Dim, tally(e.judged.Verdict)+" ")
	}
	name, second := plain.Text(e.name), " "+th.Paint(theme.Faint, part.Cut(pinned(e), w-2))
	room := w - part.Width(word) - part.Width(counts) - 4
	if part.Width(name) > room && n > 1 {
		second, counts = part.Ends(" "+th.Paint(theme.Faint, pinned(e)), counts, w), ""
		room = w - part.Width(word) - 4
	}
	first := part.Ends(" "+th.Bold(theme.Text, part.Cut(name, max(room, 1)))+"  "+th.Bold(role, word), counts, w)
	return []string{first, second}[:max(min(n, 2), 0)]
}

// tally counts every link once, in words. Where a link is broken, those that
// held before it are not told apart: none of them is worth anything any more.
func tally(v *attest.Verdict) string {
	n := map[attest.State]int{}
	for _, l := range v.Links {
		n[l.State]++
	}
	if n[attest.Fail] > 0 {
		n[attest.Pass] += n[attest.Software] + n[attest.Warn]
		n[attest.Software], n[attest.Warn] = 0, 0
	}
	out := fmt.Sprintf("%d hold", n[attest.Pass])
	for _, x := range []struct {
		s    attest.State
		word string
	}{{attest.Software, "software"}, {attest.Warn, "warned"}, {attest.Fail, "broken"}, {attest.NotChecked, "not checked"}} {
		if n[x.s] > 0 {
			out += fmt.Sprintf(" · %d %s", n[x.s], x.word)
		}
	}
	return out
}

func pinned(e entry) string {
	s := plain.Text(e.pinned.Addr) + " · weakest root accepted: " + plain.Text(e.pinned.MinRoot)
	if e.pinned.Version > 0 {
		s += fmt.Sprintf(" · manifest %d", e.pinned.Version)
	}
	return s
}

func (v *servers) noChain(e entry, w int) []string {
	th := v.s.th
	if e.judged == nil {
		out := []string{""}
		for _, l := range part.Wrap("This server has not proved anything in this session. No job is sent before it does; project ciphertext may be.", w-3) {
			out = append(out, " "+th.Paint(theme.Dim, l))
		}
		return append(out, "", " "+th.Bold(theme.Key, "a")+th.Paint(theme.Dim, " asks it now"))
	}
	if e.judged.Err == nil {
		return nil
	}
	out := []string{""}
	lines := append(faultLines(th, e.judged.Err), fmt.Sprintf("  %s payload bytes were sent", zero(e.judged.Payload)))
	for _, l := range lines {
		for _, x := range part.Wrap(l, w-3) {
			out = append(out, " "+x)
		}
	}
	return out
}

func zero(n int64) string {
	if n == 0 {
		return "zero"
	}
	return fmt.Sprint(n)
}

// warning says what a software root is worth.
func (v *servers) warning(e entry, w int) []string {
	th, soft := v.s.th, false
	for _, l := range e.judged.Verdict.Links {
		soft = soft || l.State == attest.Software
	}
	if !soft {
		return nil
	}
	text := "A demo: the TPM is software, so a lying host could forge all of this. It proves the protocol, not the machine."
	if !e.judged.Verdict.OK() {
		text = "Caught here, but only as far as software can: the TPM is software, and a lying host could forge this too."
	}
	out := []string{""}
	for _, l := range part.Wrap("~ "+text, w-2) {
		out = append(out, " "+th.Paint(theme.Warn, l))
	}
	return out
}

// viewLink is everything about the chosen link, for wide terminals.
func (v *servers) viewLink(w int) []string {
	th := v.s.th
	e, _ := v.chosen()
	l := &e.judged.Verdict.Links[min(v.links.At, v.count()-1)]
	out := []string{" " + th.Bold(theme.Text, fmt.Sprintf("Link %d of %d", v.links.At+1, v.count())) + "  " + th.Bold(part.Tint(l.State), l.State.Glyph()+" "+l.State.String()), ""}
	add := func(head string, r theme.Role, text string) {
		out = append(out, " "+th.Paint(theme.Faint, head))
		for _, x := range part.Wrap(plain.Text(text), w-3) {
			out = append(out, "  "+th.Paint(r, x))
		}
		out = append(out, "")
	}
	add("link", theme.Text, l.ID)
	add("claim", theme.Text, l.Claim)
	add("how it is checked", theme.Dim, l.Rule)
	add("found", part.Tint(l.State), l.Found)
	add("what it does NOT show", theme.Warn, l.NotProven)
	return out
}

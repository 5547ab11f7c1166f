package screen

import (
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

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
	case link > 0 && v.count() > 0 && v.page == pageChain:
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
		switch {
		case v.pane == 0:
			return part.Exactly(v.viewList(w, h), w, h)
		case v.page != pageChain:
			return part.Exactly(v.viewPage(w, h), w, h)
		}
		return part.Exactly(v.viewChain(w, h, false), w, h)
	}
	sep := v.s.th.Paint(theme.Border, "│")
	if v.page != pageChain {
		cw = w - lw - 1
		return part.Beside(sep, part.Exactly(v.viewList(lw, h), lw, h), part.Exactly(v.viewPage(cw, h), cw, h))
	}
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
	case e.held && !e.earlier:
		return "! on hold", theme.Warn
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
	out := []string{" " + part.Ends(th.Bold(theme.Text, "Servers"), th.Paint(theme.Faint, v.howMany()+" "), w-1)}
	from, to := part.Window(v.list.At, len(all), (h-1)/2)
	for i := from; i < to; i++ {
		e := all[i]
		word, role := e.word()
		age, name := "", plain.Text(e.called())
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

// howMany counts servers, and nodes where there are some.
func (v *servers) howMany() string {
	if n := len(v.s.data.nodes); n > 0 {
		return fmt.Sprintf("%d, nodes %d", len(v.s.data.servers), n)
	}
	return fmt.Sprint(len(v.s.data.servers))
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
	name, second := plain.Text(e.called()), " "+th.Paint(theme.Faint, part.Cut(pinned(e), w-2))
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
	if n := e.node; n != nil {
		return n.UID + " · asked through " + plain.Text(n.Server) + " · weakest root accepted: " + plain.Text(n.MinRoot)
	}
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
		for _, l := range part.Wrap(e.silent(), w-3) {
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
	add("why it matters", theme.Dim, l.Why)
	for _, d := range l.Data {
		out = append(out, " "+th.Paint(theme.Faint, part.Cut(fmt.Sprintf("evidence: %s, %d bytes", d.Name, len(d.Value)), w-2)))
		for _, x := range part.Wrap(hexOf(d.Value), w-3) {
			out = append(out, "  "+th.Paint(theme.Dim, x))
		}
	}
	return out
}

// hexOf writes bytes in groups that wrap; long ones are cut.
func hexOf(b []byte) string {
	const most = 64
	out := ""
	for i := 0; i < min(len(b), most); i += 4 {
		out += fmt.Sprintf("%x ", b[i:min(i+4, len(b))])
	}
	if len(b) > most {
		out += "…"
	}
	return out
}

// silent says what it means that there is no proof yet.
func (e entry) silent() string {
	if e.node != nil {
		return "This node has not proved anything in this session. It is asked before each job; what its server proved says nothing of it."
	}
	return "This server has not proved anything in this session. No job is sent before it does; project ciphertext may be."
}

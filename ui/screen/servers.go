package screen

import (
	"errors"
	"slices"
	"time"

	"cipherdeck/attest"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
)

// servers lists the pinned servers; beside it, the chain of evidence of the
// chosen one, link by link.
type servers struct {
	s       *session
	list    part.List
	links   part.List
	pane    int         // 0 servers, 1 chain
	opened  int         // index of the link opened, -1 for none
	page    page        // what is shown of the chosen server
	row     part.List   // on a page that is not the chain
	trials  *tried      // of the tamper lab; nil until it answers
	held    mark        // of the row chosen
	want    mark        // of the row to choose as soon as it is there
	shown   time.Time   // of the newest verdict that was looked at
	refused time.Time   // of the newest refusal that was looked at
	caught  *app.Judged // the refusal that stays chosen, nil for none

	put func(value []byte) (where string, err error) // the clipboard
}

func newServers(s *session) *servers { return &servers{s: s, opened: -1, put: toClipboard} }

func (v *servers) name() string  { return "servers" }
func (v *servers) title() string { return "Servers" }
func (v *servers) open() cmd     { return nil }

func (v *servers) hints() []hint {
	switch {
	case v.page != pageChain:
		return []hint{{"enter", "detail"}, {"c", "chain"}, {"p", "registers"}, {"i", "identity"}, {"t", "tamper lab"}, {"y", "copy"}, {"esc", "back"}}
	case v.pane == 1:
		return []hint{{"enter", "link detail"}, {"p", "registers"}, {"i", "identity"}, {"t", "tamper lab"}, {"y", "copy"}, {"esc", "back"}}
	}
	return []hint{{"enter", "go through the links"}}
}

// entry is a row of the list: a pinned server with its newest verdict, or an
// earlier refusal of one.
type entry struct {
	name    string
	pinned  *app.ServerInfo // nil for a node
	node    *app.NodeInfo   // nil for a server
	judged  *app.Judged
	busy    bool
	held    bool // no job goes there until a person resumes it
	earlier bool
}

// entries are the pinned servers, then the nodes, then the refusals that a newer verdict has
// replaced, newest first.
func (v *servers) entries() []entry {
	var out []entry
	for i := range v.s.data.servers {
		e := entry{name: v.s.data.servers[i].Name, pinned: &v.s.data.servers[i]}
		e.held = v.s.data.machines[e.name].Held != ""
		if j, ok := v.s.data.verdicts[e.name]; ok {
			e.judged = &j
		}
		for _, w := range v.s.works {
			e.busy = e.busy || w.a.ID == "attest" && w.args.Get("server") == e.name
		}
		out = append(out, e)
	}
	for i := range v.s.data.nodes {
		n := &v.s.data.nodes[i]
		e := entry{name: machineName(*n), node: n, held: n.Held != ""}
		if j, ok := v.s.data.asked[e.name]; ok {
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
	if ok && e.node != nil && (arg == "uid" || arg == "node") {
		return e.node.UID, true
	}
	return e.name, ok && arg == "server"
}

// machineName is the name of a node among the machines.
func machineName(n app.NodeInfo) string { return app.NodePrefix + n.UID }

// called is what a person calls the machine.
func (e entry) called() string {
	if e.node != nil {
		return "node " + e.node.Name
	}
	return e.name
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
	case tried:
		if e, ok := v.chosen(); ok && e.name == m.server {
			v.trials = &m
		}
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
		return v.linkKey(k)
	}
	switch k.Name {
	case "tab", "shift+tab", "right", "l", "enter":
		if v.count() > 0 || len(v.s.data.servers) > 0 {
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

func (v *servers) linkKey(k part.Key) (cmd, bool) {
	if p, ok := pageOf(k); ok {
		return v.turn(p), true
	}
	list, n := &v.links, v.count()
	if v.page != pageChain {
		list, n = &v.row, v.rows()
	}
	switch k.Name {
	case "y":
		return v.copy(), true
	case "esc", "left", "h", "tab", "shift+tab":
		v.pane, v.page, v.opened = 0, pageChain, -1
		return nil, true
	case "enter", "d", "right", "l":
		if v.opened == list.At {
			v.opened = -1
		} else {
			v.opened = list.At
		}
		return nil, true
	}
	return nil, list.Key(k, n, 8)
}

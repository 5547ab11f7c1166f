package screen

import (
	"context"
	"errors"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"cipherdeck/attest"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/theme"
)

// root routes keys and messages. It is the only part that knows the terminal
// library.
type root struct {
	s        *session
	unlock   *unlock
	screens  []screen
	at       int
	over     []overlay
	said     said
	w, h     int
	clock    time.Time
	watched  *app.Board
	looking  bool
	lastWork int
	story    *story // never nil; the session has it only in the demonstration
	stopping bool
	idle     idle
	notices  <-chan string
	slept    time.Time           // when sleep locked last
	stops    map[string]bool     // identities that were stopped at
	asking   map[string]bool     // servers that are asked again
	drifts   map[string][]string // what was said of a server last
	ask      func(a *app.App, server string)
}

// said is the line of status.
type said struct {
	how  saying
	text string
}

type saying uint8

const (
	sayNothing saying = iota
	sayGood
	sayBad
	sayWork
	sayNote
)

func newRoot(ctx context.Context, o Options) *root {
	s := &session{ctx: ctx, app: func() *app.App { return o.App }, actions: o.Actions, now: o.Now, th: theme.Detect(o.Getenv, o.NoColor)}
	s.data.detail = map[string]*detail{}
	r := &root{s: s, story: &story{}, clock: o.Now(), idle: idle{after: o.LockAfter}, notices: o.Notices,
		stops: map[string]bool{}, asking: map[string]bool{}, drifts: map[string][]string{}}
	r.ask = func(a *app.App, server string) { _, _ = a.Attest(ctx, server) } // the board has what came of it
	if o.Demo != nil {
		r.story = newStory(s, *o.Demo)
		s.story = r.story
		if o.Demo.AppOf != nil {
			s.app = o.Demo.AppOf
		}
	}
	r.unlock = newUnlock(s)
	r.screens = []screen{newProjects(s), newServers(s), newJobs(s)}
	return r
}

// Init starts to read.
func (r *root) Init() tea.Cmd {
	return lift(all(r.s.survey(), r.s.lookAtBoard(), r.minute(), watchNotices(r.s.ctx, r.notices)))
}

// lift turns a command into one of the terminal library.
func lift(c cmd) tea.Cmd {
	if c == nil {
		return nil
	}
	return func() tea.Msg {
		m := c()
		b, ok := m.(batch)
		if !ok {
			return m
		}
		var out tea.BatchMsg
		for _, x := range b {
			out = append(out, lift(x))
		}
		return out
	}
}

// tick is the start of a minute.
type tick struct{}

func (r *root) minute() cmd {
	now := r.s.now()
	return after(now.Truncate(time.Minute).Add(time.Minute).Sub(now), tick{})
}

// quit ends the program.
type quit struct{}

// Update changes the state. It does no work itself.
func (r *root) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		r.w, r.h = m.Width, m.Height
		r.s.w, r.s.h = r.w, r.h
	case tea.KeyMsg:
		var cs []cmd
		for _, k := range split(m) {
			cs = append(cs, r.key(k))
		}
		return r, lift(all(cs...))
	case quit:
		return r, tea.Quit
	case nil:
	default:
		return r, lift(r.event(m))
	}
	return r, nil
}

func (r *root) event(m msg) cmd {
	switch m := m.(type) {
	case tick:
		r.clock = r.s.now()
		return all(r.rest(), r.askOld(), r.minute())
	case rested:
		return r.rests()
	case slept:
		return r.sleeps()
	case unwatched:
		r.unwatched()
		return nil
	case noted:
		return r.noted(m)
	case asked:
		return r.asked(m)
	case copied:
		r.copied(m)
		return nil
	case looked:
		return r.looks()
	case surveyed:
		return r.survey(m)
	case boardMoved:
		return r.board(m)
	case acted:
		return r.acted(m)
	case perform:
		return r.perform(m.a)
	case start:
		return r.begin(m.a, m.args, m.form)
	case performed:
		return r.performed(m)
	case press:
		return r.key(m.key)
	case hide:
		r.hide(m.what)
		return nil
	}
	cs := []cmd{r.unlock.event(m)}
	for _, s := range r.screens {
		cs = append(cs, s.event(m))
	}
	return all(cs...)
}

// now is the screen that is seen.
func (r *root) now() screen {
	if !r.s.data.facts.Unlocked {
		return r.unlock
	}
	return r.screens[r.at]
}

func (r *root) survey(m surveyed) cmd {
	if m.data.round != r.s.round {
		return nil // it was read before the vault was locked
	}
	was, first := r.s.data.facts.Unlocked, !r.s.data.known
	old := r.s.data
	r.s.data = m.data
	r.s.data.verdicts, r.s.data.asked, r.s.data.runs, r.s.data.detail, r.s.data.refused = old.verdicts, old.asked, old.runs, old.detail, old.refused
	if was && !m.data.facts.Unlocked {
		r.locked()
	}
	cs := []cmd{r.s.lookAtBoard()}
	if !was && m.data.facts.Unlocked {
		r.idle.last, r.unlock.why = r.wall(), ""
		cs = append(cs, r.arm())
	}
	if first || was != m.data.facts.Unlocked {
		cs = append(cs, r.now().open())
	}
	for _, s := range r.screens {
		cs = append(cs, s.event(m))
	}
	return all(cs...)
}

// locked forgets everything that was read while the vault was open.
func (r *root) locked() {
	r.s.data.detail = map[string]*detail{}
	r.s.data.verdicts, r.s.data.asked, r.s.data.runs, r.s.data.refused = nil, nil, nil, nil
	r.s.project = ""
	for _, o := range r.over {
		if f, ok := o.(*formOver); ok {
			f.form.Wipe()
		}
	}
	r.over, r.stopping = nil, false
	clear(r.drifts)
	r.screens = []screen{newProjects(r.s), newServers(r.s), newJobs(r.s)}
}

func (r *root) board(m boardMoved) cmd {
	if !r.s.data.facts.Unlocked { // it was read before the vault was locked
		m.verdicts, m.nodes, m.runs, m.passed = nil, nil, nil, nil
	}
	r.s.data.verdicts, r.s.data.asked, r.s.data.runs = m.verdicts, m.nodes, m.runs
	for _, j := range m.passed {
		r.remember(j)
		r.stopped(j)
	}
	for _, j := range judgements(m.verdicts) {
		r.remember(j)
		r.drifted(j)
		r.stopped(j)
	}
	for _, j := range judgements(m.nodes) {
		r.drifted(j)
		r.stopped(j)
	}
	var cs []cmd
	if m.board != nil && (m.fromWatch || r.watched != m.board) {
		cs = append(cs, watchBoard(r.s.ctx, m.board))
	}
	r.watched = m.board
	if r.running() > 0 {
		cs = append(cs, r.look())
	}
	for _, s := range r.screens {
		cs = append(cs, s.event(m))
	}
	return all(append(cs, r.rest())...)
}

// maxRefused bounds how many refusals are remembered.
const maxRefused = 32

// remember keeps a refusal, once, even when a good verdict follows it.
func (r *root) remember(j app.Judged) {
	if !isRefusal(j) {
		return
	}
	for _, k := range r.s.data.refused {
		if k.Server == j.Server && k.At.Equal(j.At) {
			return
		}
	}
	all := append(slices.Clone(r.s.data.refused), j)
	slices.SortStableFunc(all, func(x, y app.Judged) int { return x.At.Compare(y.At) })
	r.s.data.refused = all[max(0, len(all)-maxRefused):]
}

// acted takes what an action gave.
func (r *root) acted(m acted) cmd {
	for i, w := range r.s.works {
		if w == m.w {
			r.s.works = append(r.s.works[:i:i], r.s.works[i+1:]...)
			break
		}
	}
	switch {
	case m.w.round != r.s.round: // it belongs to the vault as it was open before
		if m.w.form != nil {
			m.w.form.form.Wipe()
		}
		return nil
	case m.err != nil:
		r.failed(m)
	default:
		r.succeeded(m)
	}
	cs := []cmd{r.s.survey(), r.rest()}
	if m.err == nil && m.res.Brief > 0 {
		cs = append(cs, r.briefly(m))
	}
	for _, s := range r.screens {
		cs = append(cs, s.event(m))
	}
	return all(cs...)
}

func (r *root) failed(m acted) {
	f := app.Explain(m.err)
	r.say(sayBad, f.Cause)
	switch {
	case errors.Is(m.err, context.Canceled):
		r.say(sayNote, m.w.a.Title+": stopped")
	case errors.Is(m.err, attest.ErrRefused):
		r.say(sayBad, "REFUSED: "+f.Cause)
	case m.w.form != nil && len(r.over) == 0:
		m.w.form.form.Fault = f.Cause
		if f.Cure != "" {
			m.w.form.form.Fault += " — " + f.Cure
		}
		r.over = append(r.over, m.w.form)
	case !showsItself(m.w.a.ID):
		r.over = append(r.over, newText(r.s, "Could not: "+m.w.a.Title, faultLines(r.s.th, m.err)))
	}
}

func (r *root) succeeded(m acted) {
	text := m.w.a.Title + ": done"
	if m.res.Brief > 0 { // what may stay for a time only is nothing for the status line
		r.say(sayGood, text)
		return
	}
	if len(m.res.Text) > 0 && !showsItself(m.w.a.ID) {
		text = m.res.Text[0]
	}
	r.say(sayGood, text)
	if len(m.res.Text) > 1 && !showsItself(m.w.a.ID) {
		r.over = append(r.over, newText(r.s, m.w.a.Title, marked(r.s.th, m.res.Text)))
	}
}

// showsItself reports whether a screen shows the outcome of an action better
// than its lines of text do.
func showsItself(id string) bool {
	switch id {
	case "attest", "run", "project.new", "project.show", "share", "server.add":
		return true
	}
	return false
}

func (r *root) say(how saying, text string) { r.said = said{how, text} }

// moved says that the person went on: what a screen kept in sight for him may
// make room.
type moved struct{}

// tell gives a message to every screen.
func (r *root) tell(m msg) cmd {
	var cs []cmd
	for _, s := range r.screens {
		cs = append(cs, s.event(m))
	}
	return all(cs...)
}

// press is a key, as if a person had pressed it.
type press struct{ key part.Key }

// perform asks for an action to be started: its arguments are gathered first.
type perform struct{ a *action.Action }

// start runs an action with its arguments.
type start struct {
	a    *action.Action
	args action.Args
	form *formOver
}

func (r *root) key(k part.Key) cmd {
	if c, mine := r.touched(k); mine {
		return c
	}
	r.said = said{} // it was read; what lies under it is wanted again
	if k.Name == "ctrl+c" {
		return r.leave(true)
	}
	if r.isNext(k) {
		return r.next()
	}
	if n := len(r.over); n > 0 {
		c, done := r.over[n-1].key(k, r.room())
		if done && len(r.over) >= n {
			r.over = append(r.over[:n-1:n-1], r.over[n:]...)
		}
		return c
	}
	if k.Name == "ctrl+l" {
		return r.lock()
	}
	if c, ok := r.now().key(k); ok {
		return c
	}
	if !r.s.data.facts.Unlocked {
		return nil
	}
	if a := onKey(r.s.actions, r.now().name(), k.Name); a != nil && offered(a) {
		return r.perform(a)
	}
	return r.global(k)
}

// turn shows screen i.
func (r *root) turn(i int) cmd {
	if i < 0 || i >= len(r.screens) {
		return nil
	}
	r.at = i
	return r.now().open()
}

// turnTo shows the screen of this name.
func (r *root) turnTo(name string) cmd {
	for i, s := range r.screens {
		if s.name() == name {
			return r.turn(i)
		}
	}
	return nil
}

func (r *root) lock() cmd {
	if r.s.story != nil {
		r.say(sayNote, "the demonstration holds this vault open; it is removed when you quit")
		return nil
	}
	return r.lockFor("by hand")
}

// leave quits; while something works it asks, once.
func (r *root) leave(twice bool) cmd {
	n := r.running() + len(r.s.works)
	if r.story.working {
		n++
	}
	if n == 0 || twice && r.stopping {
		return func() msg { return quit{} }
	}
	if r.stopping && len(r.over) > 0 {
		return nil
	}
	r.stopping = true
	r.over = append(r.over, newAsk(r.s, "Quit", "What is under way here would stop. Finished uploads are kept.", "quit", func(yes bool) cmd {
		r.stopping = yes
		if !yes {
			return nil
		}
		return func() msg { return quit{} }
	}))
	return nil
}

// perform gathers the arguments of an action, by a form if need be.
func (r *root) perform(a *action.Action) cmd {
	if why := a.Blocked(r.s.data.facts); why != "" {
		r.say(sayNote, a.Title+": "+why)
		return nil
	}
	f, args := r.s.formFor(a, r.now())
	if f == nil {
		return r.begin(a, args, nil)
	}
	r.over = append(r.over, f)
	return nil
}

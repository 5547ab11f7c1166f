package screen

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"cipherdeck/attest"
	"cipherdeck/crypto/progress"
	"cipherdeck/remote/api"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/app/demo"
	"cipherdeck/ui/theme"
)

// run does what a command asks for, and returns its message.
func run(c tea.Cmd) []tea.Msg {
	if c == nil {
		return nil
	}
	m := c()
	b, ok := m.(tea.BatchMsg)
	if !ok {
		return []tea.Msg{m}
	}
	var out []tea.Msg
	for _, x := range b {
		out = append(out, run(x)...)
	}
	return out
}

// seen is what is on the screen, without colours.
func seen(r *root) string { return ansi.Strip(r.View()) }

func press1(r *root, name string) []tea.Msg {
	_, c := r.Update(keyMsg(name))
	return run(c)
}

func ends(ms []tea.Msg) bool {
	return slices.ContainsFunc(ms, func(m tea.Msg) bool { _, ok := m.(quit); return ok })
}

func TestQuitAsksOnlyWhileSomethingWorks(t *testing.T) {
	idle := unlocked(t, 80, 24)
	idle.Update(boardMoved{verdicts: verdicts(), runs: runs()[:3]})
	for _, k := range []string{"q", "ctrl+c"} {
		if !ends(press1(idle, k)) {
			t.Errorf("%s does not quit an idle workstation", k)
		}
	}
	busy := unlocked(t, 80, 24) // run 4 is under way
	if ends(press1(busy, "ctrl+c")) || len(busy.over) != 1 {
		t.Fatal("ctrl+c quits in the middle of a run, or does not ask")
	}
	if ends(press1(busy, "enter")) || len(busy.over) != 0 {
		t.Error("enter on the question quits: no must be in focus")
	}
	press1(busy, "q")
	press1(busy, "right")
	if !ends(press1(busy, "enter")) {
		t.Error("yes does not quit")
	}
	twice := unlocked(t, 80, 24)
	press1(twice, "ctrl+c")
	if !ends(press1(twice, "ctrl+c")) {
		t.Error("ctrl+c twice does not quit")
	}
}

// TestPassphraseIsNowhere types a passphrase on both forms of the unlock
// screen and looks for it in everything drawn, and in the form afterwards.
func TestPassphraseIsNowhere(t *testing.T) {
	const pass = "correct horse"
	for _, has := range []bool{true, false} {
		r := rig(t, 80, 24, nil)
		r.s.app = func() *app.App { return app.New(app.Config{Home: t.TempDir(), NoKeyring: true}) }
		r.Update(surveyed{data{known: true, facts: app.Facts{HasVault: has}}})
		if has {
			r.Update(entered{gen: r.unlock.gen, err: errAsk, keyring: true})
		} else {
			keys(r, "alice", "tab")
		}
		keys(r, pass)
		if !has {
			keys(r, "tab", pass, "tab")
		}
		if v := seen(r); strings.Contains(v, "horse") || !strings.Contains(v, "•••") {
			t.Errorf("vault %v: the passphrase is drawn, or no mask:\n%s", has, v)
		}
		f := r.unlock.form
		r.Update(keyMsg("enter")) // the command is not run
		for _, x := range f.Fields {
			if x.Input.Mask && x.Input.Len() > 0 {
				t.Errorf("vault %v: %s keeps the passphrase", has, x.Name)
			}
		}
		if r.unlock.busy == "" {
			t.Errorf("vault %v: nothing was started", has)
		}
	}
}

// TestVaultForReal creates a vault, locks it, fails and succeeds to unlock it,
// through the keys and commands of the real screens.
func TestVaultForReal(t *testing.T) {
	a := app.New(app.Config{Home: t.TempDir(), NoKeyring: true})
	defer a.Close()
	r := newRoot(t.Context(), Options{App: a, Actions: action.All(), Now: clock, Getenv: func(string) string { return "" }})
	r.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	r.watched = a.Board() // nobody waits for the board: that would not end
	settle := func(c tea.Cmd) { settle(t, r, c) }
	enter := func(names ...string) {
		for _, n := range names {
			_, c := r.Update(keyMsg(n))
			settle(c)
		}
	}
	settle(lift(r.s.survey()))
	enter("alice", "tab", "short", "tab", "short", "tab", "enter")
	if v := seen(r); r.s.data.facts.Unlocked || !strings.Contains(v, "weak-passphrase") {
		t.Fatalf("a weak passphrase is taken, or nothing is said:\n%s", v)
	}
	const pass = "atlas banjo cedar dune ember fable grove haiku"
	enter(pass, "tab", pass, "tab", "enter")
	if !r.s.data.facts.Unlocked || r.s.data.facts.Name != "alice" {
		t.Fatalf("not created:\n%s", seen(r))
	}
	enter("ctrl+l")
	if r.s.data.facts.Unlocked || a.Facts().Unlocked {
		t.Fatal("ctrl+l does not lock")
	}
	enter("wrong", "enter")
	if v := seen(r); r.s.data.facts.Unlocked || !strings.Contains(v, "wrong-passphrase") {
		t.Fatalf("a wrong passphrase is taken, or nothing is said:\n%s", v)
	}
	enter(pass, "enter")
	if !r.s.data.facts.Unlocked {
		t.Fatalf("not unlocked:\n%s", seen(r))
	}
	if v := seen(r); !strings.Contains(v, "No projects yet") {
		t.Errorf("no projects screen:\n%s", v)
	}
}

// settle runs commands and feeds their messages back until there are none.
func settle(t *testing.T, r *root, c tea.Cmd) {
	t.Helper()
	todo := []tea.Cmd{c}
	for n := 0; len(todo) > 0; n++ {
		if n > 1000 {
			t.Fatal("does not settle")
		}
		c := todo[0]
		todo = todo[1:]
		if c == nil {
			continue
		}
		m := c()
		if b, ok := m.(tea.BatchMsg); ok {
			todo = append(todo, b...)
			continue
		}
		_, next := r.Update(m)
		todo = append(todo, next)
	}
}

func TestLateAnswersAreDropped(t *testing.T) {
	r := unlocked(t, 80, 24)
	p := r.screens[0].(*projects)
	old := p.gen
	keys(r, "j")
	r.Update(opened{gen: old, key: "late", err: errors.New("late")})
	if p.err != nil || r.s.data.detail["late"] != nil {
		t.Error("the answer to an old question was taken")
	}
}

// TestARefusalIsSeenEvenWhenAGoodVerdictFollows: the demonstration puts the
// honest server back at once.
func TestARefusalIsSeenEvenWhenAGoodVerdictFollows(t *testing.T) {
	r := unlocked(t, 80, 24)
	keys(r, "2")
	bad := app.Judged{Server: "main", Verdict: verdict(attest.LinkEvents, "event 0: expected aa, got bb"), Err: attest.ErrRefused, At: clock().Add(-time.Second)}
	good := app.Judged{Server: "main", Verdict: verdict("", ""), At: clock()}
	r.Update(boardMoved{verdicts: map[string]app.Judged{"main": good}, passed: []app.Judged{bad, good}})
	v := seen(r)
	for _, want := range []string{"REFUSED at", "expected  aa", "zero payload bytes were sent", "a lying host could forge", "not checked"} {
		if !strings.Contains(v, want) {
			t.Errorf("no %q in\n%s", want, v)
		}
	}
	keys(r, "k", "k", "k", "k")
	if v := seen(r); !strings.Contains(v, "12 hold · 2 software · 2 not checked") {
		t.Errorf("the good verdict is not there any more:\n%s", v)
	}
}

// TestARefusalStaysUntilThePersonMoves: verdicts that come later, of the same
// server or of another, do not hide it, and the badge shows it everywhere.
func TestARefusalStaysUntilThePersonMoves(t *testing.T) {
	at := func(s int) time.Time { return clock().Add(time.Duration(s) * time.Second) }
	refusal := app.Judged{Server: "lab-2", Verdict: verdict(attest.LinkEvents, "event 0: expected aa, got bb"), Err: attest.ErrRefused, At: at(1)}
	sequel := []struct {
		name string
		then app.Judged
	}{
		{"another server is asked again", app.Judged{Server: "main", Verdict: verdict("", ""), At: at(2)}},
		{"the same server answers well", app.Judged{Server: "lab-2", Verdict: verdict("", ""), At: at(2)}},
		{"another server is not reached", app.Judged{Server: "main", Err: api.ErrUnreachable, At: at(2)}},
	}
	leave := map[string]func(r *root){
		"moves":    func(r *root) { keys(r, "k") },
		"next act": func(r *root) { r.tell(moved{}) },
	}
	for _, c := range sequel {
		for how, move := range leave {
			r := unlocked(t, 120, 40)
			keys(r, "2")
			board := verdicts()
			board["lab-2"] = refusal
			r.Update(boardMoved{verdicts: maps.Clone(board)})
			board[c.then.Server] = c.then
			for range 2 {
				r.Update(boardMoved{verdicts: maps.Clone(board)})
				if v := seen(r); !strings.Contains(v, "expected  aa") || !strings.Contains(v, "REFUSED lab-2") {
					t.Fatalf("%s: the refusal is gone:\n%s", c.name, v)
				}
				r.Update(surveyed{fullData()})
			}
			keys(r, "3")
			if v := seen(r); !strings.Contains(v, "✗ REFUSED lab-2") {
				t.Errorf("%s: the badge of another screen does not show it:\n%s", c.name, v)
			}
			keys(r, "2")
			move(r)
			last := app.Judged{Server: "main", Verdict: verdict("", ""), At: at(9)}
			board["main"] = last
			r.Update(boardMoved{verdicts: maps.Clone(board)})
			if v := seen(r); !strings.Contains(v, "SOFTWARE ~ demo main") {
				t.Errorf("%s, then the person %s: the new verdict is not shown:\n%s", c.name, how, v)
			}
		}
	}
}

// TestWhatEndsARefusalsStay: the next act, and asking a server by hand; not
// any other action.
func TestWhatEndsARefusalsStay(t *testing.T) {
	begin := func(id string) func(r *root) {
		return func(r *root) {
			for _, a := range r.s.actions {
				if a.ID == id {
					r.Update(start{a: a, args: action.Args{"server": {"lab-2"}}})
				}
			}
		}
	}
	for how, c := range map[string]struct {
		do   func(r *root)
		ends bool
	}{
		"next act": {func(r *root) { keys(r, "ctrl+n") }, true},
		"attest":   {begin("attest"), true},
		"share":    {begin("share"), false},
		"a look":   {func(r *root) { keys(r, "3", "2", "?", "esc") }, false},
	} {
		r := scenes()["demo-cheats"](t, 80, 24)
		keys(r, "esc")
		v := r.screens[1].(*servers)
		if v.caught == nil {
			t.Fatal("no refusal is in sight")
		}
		if c.do(r); (v.caught == nil) != c.ends {
			t.Errorf("%s: the refusal's stay ended: %v, want %v", how, v.caught == nil, c.ends)
		}
	}
}

func TestTheRefusalsLinkKeepsItsPlace(t *testing.T) {
	r := unlocked(t, 120, 40)
	keys(r, "2")
	r.Update(boardMoved{verdicts: cheat()})
	keys(r, "enter", "j", "j")
	at := r.screens[1].(*servers).links.At
	r.Update(surveyed{fullData()})
	r.Update(boardMoved{verdicts: cheat()})
	if now := r.screens[1].(*servers).links.At; now != at {
		t.Errorf("a refresh moved the person from link %d to %d", at, now)
	}
}

// TestOnlyRefusalsAreCalledRefused: a server that is not reached was not
// judged.
func TestOnlyRefusalsAreCalledRefused(t *testing.T) {
	for _, c := range []struct {
		j    app.Judged
		want string
	}{
		{app.Judged{Err: fmt.Errorf("dial: %w", api.ErrUnreachable)}, "✗ not reached"},
		{app.Judged{Err: fmt.Errorf("main: %w", app.ErrPin)}, "✗ WRONG KEY"},
		{app.Judged{Err: errors.New("evidence")}, "✗ failed"},
		{app.Judged{Err: fmt.Errorf("%w: no evidence", attest.ErrRefused)}, "✗ REFUSED"},
		{app.Judged{Verdict: verdict(attest.LinkEvents, "x"), Err: attest.ErrRefused}, "✗ REFUSED"},
		{app.Judged{Verdict: verdict(attest.LinkEvents, "x")}, "✗ REFUSED"},
		{app.Judged{}, "? no verdict"},
	} {
		badge, _ := rootBadge(c.j)
		word, _ := entry{judged: &c.j}.word()
		if badge != c.want || word != c.want {
			t.Errorf("%+v: badge %q, list %q, want %q", c.j, badge, word, c.want)
		}
	}
}

func TestPayloadThatWasSentIsSaid(t *testing.T) {
	r := unlocked(t, 120, 40)
	keys(r, "2")
	j := cheat()["lab-2"]
	j.Payload = 17
	r.Update(boardMoved{verdicts: map[string]app.Judged{"lab-2": j}})
	if v := seen(r); !strings.Contains(v, "17 payload bytes were sent") || strings.Contains(v, "zero payload") {
		t.Errorf("17 bytes of payload are not told:\n%s", v)
	}
}

// TestSoftwareIsNeverGreen looks for the colour of a pass on a root that is
// software, in the header, the list and the chain.
func TestSoftwareIsNeverGreen(t *testing.T) {
	r := unlocked(t, 80, 24)
	keys(r, "2")
	r.s.th.Depth = 3
	ok, _, _ := strings.Cut(r.s.th.Paint(6-1, "x"), "x") // theme.OK
	for _, l := range strings.Split(r.View(), "\n") {
		if strings.Contains(l, ok) && (strings.Contains(l, "software") || strings.Contains(l, "SOFTWARE") || strings.Contains(l, "demo")) {
			t.Errorf("a demo root shares a line with the colour of a pass: %q", l)
		}
	}
}

func TestRevokeWantsTheName(t *testing.T) {
	r := unlocked(t, 80, 24)
	keys(r, "x", "tab", "bobb")
	if ms := press1(r, "enter"); len(ms) > 0 || len(r.over) != 1 {
		t.Fatalf("revoked with a wrong name: %v", ms)
	}
	r.Update(tea.KeyMsg{Type: tea.KeyBackspace})
	var got *start
	for _, m := range press1(r, "enter") {
		if s, ok := m.(start); ok {
			got = &s
		}
	}
	if got == nil || got.a.ID != "revoke" || got.args.Get("uid") != "bobuid234" || got.args.Get("project") == "" || len(got.args) != 2 {
		t.Fatalf("with the right name: %+v", got)
	}
}

func TestHelpFindsAndRuns(t *testing.T) {
	r := unlocked(t, 80, 24)
	keys(r, "?", "share")
	ms := press1(r, "enter")
	if len(r.over) != 0 || len(ms) != 1 || ms[0].(perform).a.ID != "share" {
		t.Fatalf("enter in help gives %v", ms)
	}
	locked := rig(t, 80, 24, nil)
	locked.Update(surveyed{data{known: true, facts: app.Facts{HasVault: true, Unlocked: true}}})
	keys(locked, "?", "share")
	if v := seen(locked); !strings.Contains(v, "there is no project yet") {
		t.Errorf("help does not say why:\n%s", v)
	}
	if ms := press1(locked, "enter"); len(ms) > 0 {
		t.Errorf("a blocked action runs: %v", ms)
	}
}

// TestStory goes through all acts by the one key.
func TestStory(t *testing.T) {
	var done []int
	h := &DemoHook{Acts: demo.Acts(), Perform: func(_ context.Context, a demo.Act, _ progress.Sink) (*demo.Report, error) {
		done = append(done, a.Number)
		rep := &demo.Report{Act: a.Number, Title: a.Title, OK: a.Number != 5}
		if a.Number == 5 {
			return rep, errors.New("the cheat was not caught")
		}
		return rep, nil
	}}
	r := rig(t, 80, 24, h)
	r.Update(surveyed{fullData()})
	for i := range h.Acts {
		if v := seen(r); !strings.Contains(v, "next: Act") {
			t.Fatalf("before act %d nothing says what is next:\n%s", i+1, v)
		}
		_, c := r.Update(keyMsg([]string{"ctrl+n", " "}[i%2]))
		if _, again := r.Update(keyMsg("ctrl+n")); again != nil {
			t.Fatal("an act starts while another is under way")
		}
		for _, m := range run(c) {
			if p, ok := m.(performed); ok {
				r.Update(p)
			}
		}
		if v := seen(r); !strings.Contains(v, h.Acts[i].Title) {
			t.Fatalf("no report of act %d:\n%s", i+1, v)
		}
	}
	if !slices.Equal(done, []int{1, 2, 3, 4, 5, 6}) {
		t.Fatalf("acts done: %v", done)
	}
	keys(r, "G")
	if v := seen(r); !strings.Contains(v, "5 of 6 acts did what they should") || !strings.Contains(v, "✗ FAILED  5") {
		t.Errorf("no summary:\n%s", v)
	}
	keys(r, "esc")
	if v := seen(r); strings.Contains(v, "Act 6") || !strings.Contains(v, "the story is told") {
		t.Errorf("one escape does not close the report:\n%s", v)
	}
	if len(r.story.reports) != 6 {
		t.Errorf("%d reports", len(r.story.reports))
	}
	if press1(r, "ctrl+l"); !r.s.data.facts.Unlocked {
		t.Error("the demonstration can be locked out of its own vault")
	}
}

// TestTheVerdictIsNeverCut: a long name gives way to it.
func TestTheVerdictIsNeverCut(t *testing.T) {
	v := newServers(unlocked(t, 80, 24).s)
	for _, name := range []string{"main", "changed-config", strings.Repeat("long", 20)} {
		e := entry{name: name, pinned: &app.ServerInfo{Name: name, Addr: "127.0.0.1:1"}, judged: &app.Judged{Verdict: verdict(attest.LinkEvents, "x")}}
		for w := 58; w < 120; w++ {
			for n := 1; n < 3; n++ {
				lines := v.summary(e, w, n)
				all := strings.Join(lines, " ")
				if len(lines) != n || !strings.Contains(all, "✗ REFUSED") || !strings.Contains(all, "13 hold · 1 broken · 2 not checked") {
					t.Fatalf("%d wide, %d lines: %q", w, n, lines)
				}
			}
		}
	}
}

// TestRefusalsAreInTheOrderOfTheirTimes, however the board gives them.
func TestRefusalsAreInTheOrderOfTheirTimes(t *testing.T) {
	for range 8 { // the board is a map
		r := unlocked(t, 80, 24)
		board := map[string]app.Judged{}
		for i, name := range []string{"main", "lab-2", hostile} {
			board[name] = app.Judged{Server: name, Verdict: verdict(attest.LinkEvents, "x"), At: clock().Add(time.Duration(i) * time.Second)}
		}
		r.Update(boardMoved{verdicts: board})
		if s := r.screens[1].(*servers); s.caught == nil || s.caught.Server != hostile {
			t.Fatalf("the newest refusal is not the one in sight: %+v", s.caught)
		}
	}
}

// TestTheVerdictOnACheatIsLoud: it has the colour and the sign of a failure,
// and a report that is too long says that it is below.
func TestTheVerdictOnACheatIsLoud(t *testing.T) {
	r := scenes()["demo-cheats"](t, 80, 24)
	if v := seen(r); !strings.Contains(v, "✗ FAIL log.events") || !strings.Contains(v, "✗ REJECTED is below") || !strings.Contains(v, "! a run on it does not start") {
		t.Errorf("the verdict is not in sight:\n%s", v)
	}
	r.s.th.Depth = theme.TrueColor
	red := r.s.th.Paint(theme.Bad, "FAIL log.events")
	red, _, _ = strings.Cut(red, "FAIL")
	for _, l := range r.story.report(cheatReport(), nil) {
		text := ansi.Strip(l)
		loud := strings.Contains(text, "FAIL") || strings.Contains(text, "REJECTED")
		if strings.Contains(l, red) != loud {
			t.Errorf("red %v, loud %v: %q", !loud, loud, l)
		}
	}
	keys(r, "G")
	if v := seen(r); !strings.Contains(v, "✗ REJECTED: the node") || strings.Contains(v, "is below") {
		t.Errorf("the end of the report:\n%s", v)
	}
}

// TestByHandIsWhole: a command that is cut cannot be typed.
func TestByHandIsWhole(t *testing.T) {
	for _, w := range []int{80, 120, 200} {
		r := scenes()["demo-by-hand"](t, w, 24)
		v := seen(r)
		_, below, _ := strings.Cut(v, "by hand:")
		got := strings.Join(strings.Fields(below), " ")
		if want := demo.Acts()[3].ByHand; !strings.Contains(got, want) {
			t.Errorf("%d wide: no %q in\n%s", w, want, v)
		}
	}
}

func TestWelcomeCutsNoTitle(t *testing.T) {
	if v := seen(scenes()["demo-welcome"](t, 80, 24)); strings.Count(v, "…") > 0 {
		t.Errorf("cut:\n%s", v)
	}
}

func TestAMessageLeavesWithTheNextKey(t *testing.T) {
	r := rig(t, 80, 24, hook())
	r.Update(surveyed{fullData()})
	r.story.next = 3 // its command takes several lines
	r.say(sayBad, "REFUSED: attestation refused")
	if v := seen(r); !strings.Contains(v, "REFUSED: att") || strings.Contains(v, "by hand:") || strings.Contains(v, "--node") {
		t.Fatalf("not said:\n%s", v)
	}
	keys(r, "3")
	if v := seen(r); strings.Contains(v, "REFUSED: att") || !strings.Contains(v, "by hand:") {
		t.Errorf("still said on another screen:\n%s", v)
	}
}

func TestANodeIsToldFromOthers(t *testing.T) {
	for _, c := range []struct{ name, want string }{{"node", "uid45678"}, {"", "uid45678"}, {"lab", "lab"}} {
		if got := nodeName(grant{Node: c.name, UID: "uid45678901"}); got != c.want {
			t.Errorf("%q is shown as %q", c.name, got)
		}
	}
}

// TestJoinAsksForWhatItTakes goes through the form of the key i.
func TestJoinAsksForWhatItTakes(t *testing.T) {
	r := unlocked(t, 80, 24)
	keys(r, "i")
	f, ok := r.over[len(r.over)-1].(*formOver)
	if !ok {
		t.Fatalf("no form:\n%s", seen(r))
	}
	var join *action.Action
	for _, a := range r.s.actions {
		if a.ID == "project.join" {
			join = a
		}
	}
	for _, arg := range join.Args {
		if f.form.Field(arg.Name) == nil {
			t.Errorf("the form does not ask for %s", arg.Name)
		}
	}
	empty := gather(join, f.form, action.Args{})
	if empty.Get("id") != "" || empty.Has("unverified") || empty.Get("server") != "main" {
		t.Errorf("an empty form gives %v", empty)
	}
	f.form.Field("id").Input.Set("abc")
	if x := f.form.Field("unverified"); x != nil {
		x.On = true
	}
	full := gather(join, f.form, action.Args{})
	if full.Get("id") != "abc" || f.form.Field("unverified") != nil && !full.Has("unverified") {
		t.Errorf("a filled form gives %v", full)
	}
}

package screen

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/vault"
)

const pass = "atlas banjo cedar dune ember fable grove haiku"

// aVault is the file of a vault. Its keys take a while to make, so all desks
// have the same.
var aVault = sync.OnceValue(func() []byte {
	home, err := os.MkdirTemp("", "cipherdeck-screen-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	a := app.New(app.Config{Home: home, NoKeyring: true, NoKernel: true})
	defer a.Close()
	if _, err := a.InitVault(context.Background(), "alice", []byte(pass), false); err != nil {
		panic(err)
	}
	b, err := os.ReadFile(filepath.Join(home, app.VaultFile))
	if err != nil {
		panic(err)
	}
	return b
})

// desk is a workstation with a real open vault, and a clock that the test moves.
type desk struct {
	*root
	t   *testing.T
	app *app.App
	mu  sync.Mutex
	at  time.Time
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

func (d *desk) wait(x time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = d.at.Add(x)
}

func sit(t *testing.T, after time.Duration, actions []*action.Action) *desk {
	t.Helper()
	d := &desk{t: t, at: clock()}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, app.VaultFile), aVault(), 0o600); err != nil {
		t.Fatal(err)
	}
	d.app = app.New(app.Config{Home: home, NoKeyring: true, NoKernel: true, Now: d.now})
	t.Cleanup(d.app.Close)
	if _, err := d.app.UnlockTyped(t.Context(), []byte(pass)); err != nil {
		t.Fatal(err)
	}
	d.root = newRoot(t.Context(), Options{App: d.app, Actions: actions, Now: d.now, Getenv: func(string) string { return "" }, NoColor: true, LockAfter: after})
	d.Update(tea.WindowSizeMsg{Width: 100, Height: 24})
	d.watched = d.app.Board()
	d.root.idle.armed = true // the test is the timer
	d.settle(lift(d.s.survey()))
	if !d.s.data.facts.Unlocked {
		t.Fatal("not open")
	}
	return d
}

func (d *desk) settle(c tea.Cmd) { d.t.Helper(); settle(d.t, d.root, c) }

func (d *desk) send(m tea.Msg) {
	d.t.Helper()
	_, c := d.Update(m)
	d.settle(c)
}

// open reports whether the vault is, for the screen and for the App alike.
func (d *desk) open() bool {
	d.t.Helper()
	a, b := d.app.Facts().Unlocked, d.s.data.facts.Unlocked
	if a != b {
		d.t.Fatalf("App open %v, screen open %v", a, b)
	}
	return a
}

func (d *desk) timer() { // the timer of idle, or the start of a minute
	d.t.Helper()
	d.settle(lift(d.rest()))
}

func TestIdleLocks(t *testing.T) {
	d := sit(t, 10*time.Minute, action.All())
	d.wait(10*time.Minute - time.Second)
	d.timer()
	if !d.open() {
		t.Fatal("locked too early")
	}
	d.send(keyMsg("j"))
	d.wait(10*time.Minute - time.Second)
	d.timer()
	if !d.open() {
		t.Fatal("a key does not count")
	}
	d.wait(time.Second)
	d.timer()
	if d.open() {
		t.Fatal("not locked")
	}
	v := seen(d.root)
	for _, want := range []string{"locked: idle for 10 min (", d.at.Format("15:04"), "Passphrase"} {
		if !strings.Contains(v, want) {
			t.Errorf("%q is not said:\n%s", want, v)
		}
	}
	if len(d.s.data.projects)+len(d.s.data.people)+len(d.s.data.servers)+len(d.s.data.detail) > 0 {
		t.Error("what was read is kept")
	}
	// It stays locked until somebody types the passphrase.
	d.send(keyMsg("x"))
	d.send(keyMsg("enter"))
	if v := seen(d.root); d.open() || !strings.Contains(v, "wrong-passphrase") || !strings.Contains(v, "idle for 10 min") {
		t.Fatalf("a wrong passphrase:\n%s", v)
	}
	for _, k := range []string{pass, "enter"} {
		d.send(keyMsg(k))
	}
	if !d.open() {
		t.Fatalf("does not open again:\n%s", seen(d.root))
	}
	d.wait(time.Minute)
	d.timer()
	if !d.open() {
		t.Error("locked at once after it was opened")
	}
}

// A machine that slept without telling: its timers stood still, the wall clock
// did not. The first key must not count as somebody being here.
func TestAKeyAfterASilentSleepLocks(t *testing.T) {
	d := sit(t, 10*time.Minute, action.All())
	d.wait(8 * time.Hour)
	d.send(keyMsg("2"))
	if d.open() || d.root.at != 0 {
		t.Errorf("open %v, screen %d", d.open(), d.root.at)
	}
}

func TestClockSetBackLocks(t *testing.T) {
	d := sit(t, 10*time.Minute, action.All())
	d.wait(-30 * time.Second) // a correction by the time service
	d.timer()
	if !d.open() {
		t.Fatal("locked by half a minute")
	}
	d.wait(-time.Hour)
	d.timer()
	if d.open() || !strings.Contains(seen(d.root), "the clock was set back") {
		t.Error(seen(d.root))
	}
}

func TestNeverLocksWhenToldSo(t *testing.T) {
	d := sit(t, 0, action.All())
	d.wait(1000 * time.Hour)
	d.timer()
	if !d.open() || d.arm() != nil {
		t.Error("locked, or a timer runs")
	}
}

// working is an action that works until it is told to end.
func working(end <-chan struct{}, cut *bool) []*action.Action {
	return append(action.All(), &action.Action{ID: "test.slow", Title: "Slow work", Vault: true,
		Run: func(ctx context.Context, _ *app.App, _ action.Args, _ progress.Sink) (action.Result, error) {
			select {
			case <-end:
				return action.Result{Text: []string{"worked", "TOP SECRET RESULT"}}, nil
			case <-ctx.Done():
				*cut = true
				return action.Result{}, errors.New("TOP SECRET ERROR")
			}
		}})
}

// begun starts the slow work and returns its end, to be fed to the screen.
func (d *desk) begun() <-chan tea.Msg {
	d.t.Helper()
	d.root.looking = true // nobody looks at meters
	a := action.Find(d.s.actions, "test.slow")
	c := d.begin(a, nil, nil)
	out := make(chan tea.Msg, 1)
	go func() { out <- c() }()
	return out
}

func TestIdleWaitsForWork(t *testing.T) {
	end, cut := make(chan struct{}), false
	d := sit(t, 10*time.Minute, working(end, &cut))
	ended := d.begun()
	d.wait(11 * time.Minute)
	d.timer()
	v := seen(d.root)
	if !d.open() || !strings.Contains(v, "Slow work") || !strings.Contains(v, "idle for 10 min: locks when this has ended") {
		t.Fatalf("open %v:\n%s", d.open(), v)
	}
	d.send(keyMsg("2")) // whoever that is
	if d.root.at != 0 {
		t.Error("keys work while the lock waits")
	}
	d.timer()
	if !d.open() {
		t.Fatal("a key or the timer cut the work")
	}
	close(end)
	d.send(<-ended)
	if d.open() || cut {
		t.Fatalf("open %v, cut %v", d.open(), cut)
	}
	if v := seen(d.root); strings.Contains(v, "TOP SECRET") || !strings.Contains(v, "idle for 10 min") {
		t.Errorf("after the lock:\n%s", v)
	}
}

func TestSleepLocksAtOnceAndShowsNothing(t *testing.T) {
	end, cut := make(chan struct{}), false
	d := sit(t, 10*time.Minute, working(end, &cut))
	ended := d.begun()
	var told []tea.Msg
	o := Options{App: d.app, Sleep: func(_ context.Context, lock func()) error {
		lock()
		if d.app.Facts().Unlocked {
			t.Error("the keys are there when the machine may sleep")
		}
		return nil
	}}
	watchSleep(t.Context(), o, func(m tea.Msg) { told = append(told, m) })
	if len(told) != 1 {
		t.Fatal(told)
	}
	d.send(told[0])
	if d.open() || !strings.Contains(seen(d.root), "locked: the machine went to sleep") {
		t.Fatal(seen(d.root))
	}
	d.send(<-ended)
	if v := seen(d.root); !cut || strings.Contains(v, "TOP SECRET") {
		t.Errorf("cut %v:\n%s", cut, v)
	}
	d.send(told[0]) // and again on waking up
	if v := seen(d.root); !strings.Contains(v, "Passphrase") || d.open() {
		t.Errorf("after waking up:\n%s", v)
	}
}

func TestABusThatGoesAwayIsNotCalledSleep(t *testing.T) {
	d := sit(t, 0, action.All())
	o := Options{App: d.app, Sleep: func(_ context.Context, lock func()) error { lock(); return errors.New("gone") }}
	watchSleep(t.Context(), o, d.send)
	if v := seen(d.root); d.open() || strings.Contains(v, "to sleep (") || !strings.Contains(v, "locked: the system bus") {
		t.Error(v)
	}
	d = sit(t, 0, action.All()) // none from the beginning
	watchSleep(t.Context(), Options{App: d.app, Sleep: func(context.Context, func()) error { return errors.New("no bus") }}, d.send)
	if !d.open() {
		t.Error("locked, though nothing was watched")
	}
}

// What was read while the vault was open and arrives after it was locked.
func TestLatePicturesAreDropped(t *testing.T) {
	d := sit(t, 0, action.All())
	old := d.s.survey()()
	d.settle(lift(d.lockFor("a test")))
	d.send(old)
	d.Update(boardMoved{verdicts: verdicts(), runs: runs()})
	if d.open() || len(d.s.data.runs) > 0 || len(d.s.data.verdicts) > 0 {
		t.Error("an old picture opened the screen")
	}
}

func TestLockWipesWhatWasTyped(t *testing.T) {
	d := sit(t, time.Minute, action.All())
	f := &part.Form{Fields: []*part.Field{{Name: "pin", Kind: part.Secret, Input: part.Input{Mask: true}}}}
	d.root.over = append(d.root.over, &formOver{s: d.s, form: f})
	d.send(keyMsg("1234"))
	if f.Fields[0].Input.Len() != 4 {
		t.Fatal("not typed")
	}
	d.wait(time.Hour)
	d.timer()
	if f.Fields[0].Input.Len() > 0 || len(d.root.over) > 0 {
		t.Error("the form or what was typed is still there")
	}
}

func TestNoticesAreShown(t *testing.T) {
	r := unlocked(t, 80, 24)
	c := make(chan string, 2)
	r.notices = c
	c <- "! this vault is an OLDER copy " + hostile
	c <- "second notice"
	for range 2 {
		r.Update(watchNotices(t.Context(), c)())
	}
	v := seen(r)
	if len(r.over) != 1 || !strings.Contains(v, "OLDER copy") || !strings.Contains(v, "second notice") || strings.Contains(r.View(), "\x1b]52") {
		t.Fatalf("%d pages:\n%s", len(r.over), v)
	}
}

// One timer runs, and for as long as is left.
func TestIdleKeepsOneTimer(t *testing.T) {
	d := sit(t, 10*time.Minute, action.All())
	d.root.idle.armed = false
	if d.arm() == nil || d.arm() != nil {
		t.Fatal("no timer, or two")
	}
	d.wait(11 * time.Minute)
	d.root.idle.armed = true
	c := d.rests()
	if c == nil || d.root.idle.armed {
		t.Error("it is set again for a vault that is locked")
	}
}

// ring is a keyring in memory.
type ring struct{ b []byte }

func (r *ring) Get(context.Context) ([]byte, error) {
	if r.b == nil {
		return nil, vault.ErrKeyringMissing
	}
	return bytes.Clone(r.b), nil
}
func (r *ring) Set(_ context.Context, b []byte) error { r.b = bytes.Clone(b); return nil }
func (r *ring) Delete(context.Context) error          { r.b = nil; return nil }

// A keyring that could open the vault does not do so by itself after a lock,
// nor when something wrong is typed; ctrl+k asks it.
func TestTheKeyringDoesNotUndoALock(t *testing.T) {
	d := sit(t, time.Minute, action.All())
	d.app.Close()
	d.app = app.New(app.Config{Home: d.app.Home(), Keyring: &ring{}, NoKernel: true, Now: d.now})
	t.Cleanup(d.app.Close)
	d.s.app = func() *app.App { return d.app }
	d.watched = d.app.Board()
	if _, err := d.app.UnlockTyped(t.Context(), []byte(pass)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.app.AddKeyring(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	d.wait(time.Hour)
	d.timer()
	if d.open() {
		t.Fatal("the keyring opened it again at once")
	}
	d.send(keyMsg("anything"))
	d.send(keyMsg("enter"))
	if d.open() {
		t.Fatal("any word opens it, because the keyring does")
	}
	d.send(tea.KeyMsg{Type: tea.KeyCtrlK})
	if !d.open() {
		t.Errorf("ctrl+k does not ask the keyring:\n%s", seen(d.root))
	}
}

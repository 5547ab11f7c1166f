// Package screen is the workstation: what a person sees and types.
//
// One screen is one struct in one file. A screen gets keys and events and
// draws lines; it never reads a file, waits or starts a goroutine. Whatever
// takes time is a command: a function that only does work and returns a
// message. State changes when the message arrives, and a message that answers
// a question which is no longer asked carries an old generation and is
// dropped.
//
//	key → top overlay → screen → actions of the screen → globals
//	message → root → every screen
//
// Which keys do what, help and the palette are made from the action registry.
// All strings from outside (names, errors, findings of a server) pass
// plain.Text before they are drawn.
package screen

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/app/demo"
	"cipherdeck/ui/part"
	_ "cipherdeck/ui/quiet" // before the terminal library asks its questions
	"cipherdeck/ui/theme"
)

// Options is what the workstation runs on. App and Actions are needed.
type Options struct {
	App     *app.App
	Actions []*action.Action
	Demo    *DemoHook // nil outside the demonstration
	Now     func() time.Time
	NoColor bool
	Getenv  func(string) string // nil: the environment
	In      io.Reader           // nil: standard input
	Out     io.Writer           // nil: standard output

	// LockAfter is how long an open vault waits for a key; 0 is for ever.
	LockAfter time.Duration
	// Sleep calls lock before the machine sleeps, until ctx ends; nil: never.
	Sleep func(ctx context.Context, lock func()) error
	// Notices are what the App tells a person (app.Config.Notice); may be nil.
	Notices <-chan string
}

// DemoHook is the story that the demonstration tells. Perform runs one act;
// its report is never nil.
type DemoHook struct {
	Acts    []demo.Act
	Perform func(ctx context.Context, a demo.Act, sink progress.Sink) (*demo.Report, error)
	Home    string               // scratch folder, for the welcome page
	AppOf   func() *app.App      // if the App is made by an act; nil: Options.App
	Summary func([]*demo.Report) // called once, after the screen is closed
}

// Run shows the workstation until the person leaves it. The terminal is put
// back as it was, also after a panic. The error is context.Canceled when a
// signal or ctx ended it.
//
// Not built yet: the background colour is not asked of the terminal (dark is
// assumed unless COLORFGBG or CIPHERDECK_THEME says light), keys cannot be
// rebound, and the library's own renderer is used, which ticks while idle.
func Run(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	outer := ctx
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	if o.In == nil {
		o.In = hanging{os.Stdin, cancel}
	}
	r := newRoot(ctx, o)
	p := tea.NewProgram(r, tea.WithContext(ctx), tea.WithAltScreen(), tea.WithInput(o.In), tea.WithOutput(o.Out))
	go watchSleep(ctx, o, p.Send)
	_, err := p.Run()
	hungUp := ctx.Err() != nil
	cancel()
	if o.Demo != nil && o.Demo.Summary != nil {
		o.Demo.Summary(r.story.reports)
	}
	if errors.Is(err, tea.ErrInterrupted) || hungUp {
		return context.Canceled // a signal or no terminal any more, not a fault
	}
	return err
}

// hanging is a terminal that may go away. The system sends SIGHUP then, but not
// to everybody when the shell that we were started by goes on living; an open
// vault must not stay behind in a window that is closed.
type hanging struct {
	*os.File
	gone func()
}

// Read reads keys; a terminal has no end but its own.
func (h hanging) Read(b []byte) (int, error) {
	n, err := h.File.Read(b)
	if err != nil {
		h.gone()
	}
	return n, err
}

// msg is what a command returns.
type msg = any

// cmd does work away from the screen. It changes nothing but what it was given.
type cmd func() msg

// batch is several commands at once.
type batch []cmd

// all joins commands.
func all(cs ...cmd) cmd {
	var b batch
	for _, c := range cs {
		if c != nil {
			b = append(b, c)
		}
	}
	switch len(b) {
	case 0:
		return nil
	case 1:
		return b[0]
	}
	return func() msg { return b }
}

// after returns m when d has passed.
func after(d time.Duration, m msg) cmd {
	return func() msg {
		time.Sleep(d)
		return m
	}
}

// hint is a key and what it does, for the bottom line.
type hint = [2]string

// screen is one page of the workstation.
type screen interface {
	name() string                   // in the registry
	title() string                  // in the line of tabs
	open() cmd                      // start to load what it shows
	key(k part.Key) (cmd, bool)     // false: not mine
	event(m msg) cmd                // data that arrived
	cuts(w int) []int               // columns of the lines between panes
	view(w, h int) []string         // exactly h lines of w cells
	pick(arg string) (string, bool) // what is chosen here, to fill an argument
	hints() []hint                  // keys that are not actions
}

// overlay is something in front of the screen that takes all keys.
type overlay interface {
	title() string
	key(k part.Key, h int) (c cmd, done bool)
	view(w, h int) []string // at most h lines
	hints() []hint
	whole() bool // wants all of the room
}

// session is what every screen can reach. Only root changes it.
type session struct {
	ctx     context.Context
	app     func() *app.App
	actions []*action.Action
	now     func() time.Time
	th      theme.Theme
	story   *story // nil outside the demonstration
	data    data
	project string // name or id of the project chosen last
	round   int    // counts locks: what was asked for before one is not shown after it
	works   []*work
	w, h    int // of the terminal
}

// data is the newest picture of what the vault and the board hold.
type data struct {
	known    bool   // anything was read yet
	round    int    // session.round when it was asked for
	asks     string // what opens the vault, while it is locked
	facts    app.Facts
	projects []app.ProjectInfo
	servers  []app.ServerInfo
	machines map[string]app.MachineInfo // by server
	people   []app.Person
	verdicts map[string]app.Judged
	nodes    []app.NodeInfo
	asked    map[string]app.Judged // the newest verdict of each node
	refused  []app.Judged          // every refusal of this session, oldest first
	runs     []app.RunRecord
	detail   map[string]*detail // projects that were opened, by id
	err      error
}

// Package face opens the workstation: on the user's own vault, or on the stage
// of the demonstration.
package face

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/app/demo"
	"cipherdeck/ui/screen"
	"cipherdeck/vault/agent"
)

// maxNotices is how many notices wait to be shown.
const maxNotices = 16

// Workstation shows the screens on the vault in home until the person leaves.
func Workstation(ctx context.Context, home string) error {
	unlock, err := app.UnlockTime("")
	if err != nil {
		return err
	}
	lock, err := app.LockAfter()
	if err != nil {
		return err
	}
	notices := make(chan string, maxNotices)
	tell := func(text string) {
		select {
		case notices <- text:
		default: // nobody reads so many
		}
	}
	a := app.New(app.Config{Home: home, Unlock: unlock, StateDir: app.DefaultState(), Notice: tell})
	defer a.Close()
	return screen.Run(ctx, screen.Options{App: a, Actions: action.All(), Now: time.Now, NoColor: os.Getenv("NO_COLOR") != "",
		LockAfter: lock, Sleep: agent.WatchSleep, Notices: notices})
}

// Demo shows the screens on a scratch home, with the story in the status line.
// What it did is summed up on out afterwards. The error says that an act did
// not do what it should.
func Demo(ctx context.Context, o demo.Options, out io.Writer) error {
	s, err := demo.Open(o)
	if err != nil {
		return err
	}
	var failed error
	perform := func(ctx context.Context, a demo.Act, sink progress.Sink) (*demo.Report, error) {
		r, err := demo.Perform(ctx, s, a, sink)
		if err != nil {
			failed = fmt.Errorf("act %d: %w", a.Number, err)
		}
		return r, err
	}
	var done []*demo.Report
	err = screen.Run(ctx, screen.Options{
		App: s.Alice, Actions: action.All(), Now: time.Now, NoColor: os.Getenv("NO_COLOR") != "",
		Demo: &screen.DemoHook{Acts: demo.Acts(), Perform: perform, Home: s.Home, Summary: func(r []*demo.Report) { done = r }},
	})
	err = errors.Join(err, failed, s.Close())
	for _, r := range done {
		fmt.Fprintf(out, "%s Act %d  %s, %.2f s\n", word(r.OK), r.Act, r.Title, r.Seconds)
	}
	if o.Keep {
		fmt.Fprintf(out, "Kept: %s\n", s.Home)
	} else {
		fmt.Fprintf(out, "Removed: %s\n", s.Home)
	}
	return err
}

func word(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

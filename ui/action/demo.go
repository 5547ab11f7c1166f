package action

import (
	"context"
	"fmt"
	"os"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/ui/app/demo"
)

// SayNote is the code of a note that is a line for a person, under "text".
const SayNote = "say"

func demoActions() []*Action {
	return []*Action{
		{ID: "demo", Title: "Watch the main job end to end, with real processes",
			Help: "Six acts in a scratch home that is removed at the end: vault, seal, attest, score blind, two cheats, share and revoke. On a terminal it is the workstation; with --plain, or without a terminal, lines with figures. Your own vault and keyring are not touched. Exit code 0 only if every act did what it should.",
			Args: []Arg{{Name: "plain", Flag: "plain", Switch: true, Help: "print lines instead of opening the workstation"},
				{Name: "keep", Flag: "keep", Switch: true, Help: "leave the scratch home behind"},
				{Name: "keyring", Flag: "keyring", Switch: true, Help: "let the OS keyring open the vault too; its entry is removed at the end"},
				{Name: "scratch", Flag: "scratch", Help: "folder to make the scratch home in"}},
			Run: runDemo},
		{ID: "demo-node", Title: "Run the demonstration's cheating node", Daemon: true, Hidden: true,
			Help: "A node that computes with one changed weight and signs the result as if it had not.",
			Args: nodeArgs(), Run: NodeWith(demo.Cheat{})},
	}
}

// DemoOptions reads the arguments of the demo.
func DemoOptions(args Args) (demo.Options, error) {
	exe, err := os.Executable()
	return demo.Options{Exe: exe, Home: args.Get("scratch"), Keep: args.Has("keep"), Keyring: args.Has("keyring")}, err
}

// demoFigures is the demonstration in JSON.
type demoFigures struct {
	Home  string         `json:"home"`
	Kept  bool           `json:"kept"`
	Acts  []*demo.Report `json:"acts"`
	Total float64        `json:"seconds"`
}

func runDemo(ctx context.Context, _ *app.App, args Args, sink progress.Sink) (res Result, err error) {
	o, err := DemoOptions(args)
	if err != nil {
		return Result{}, err
	}
	s, err := demo.Open(o)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if cerr := s.Close(); err == nil {
			err = cerr
		}
	}()
	say := func(format string, a ...any) { sink.Note(SayNote, "text", fmt.Sprintf(format, a...)) }
	figures := demoFigures{Home: s.Home, Kept: o.Keep}
	for _, a := range demo.Acts() {
		say("Act %d  %s: %s", a.Number, a.Title, a.Tell)
		r, err := demo.Perform(ctx, s, a, sink)
		for _, l := range r.Lines {
			say("  %s %s", l.Mark.Glyph(), l.Text)
		}
		say("    %.2f s · by hand: %s", r.Seconds, a.ByHand)
		figures.Acts = append(figures.Acts, r)
		figures.Total += r.Seconds
		if err != nil {
			return Result{Data: figures}, fmt.Errorf("act %d: %w", a.Number, err)
		}
	}
	return Result{Data: figures, Text: []string{fmt.Sprintf("All six acts did what they should, in %.1f s. %s", figures.Total, fate(o, s.Home))}}, nil
}

func fate(o demo.Options, home string) string {
	if o.Keep {
		return "Kept: " + home
	}
	return "Removed: " + home
}

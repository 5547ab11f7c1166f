// Package action is the registry: one record for each thing a user can do.
//
// Keys, help, the command line and its --json form are all made from the same
// list, so that a thing that can be done by hand can be scripted, and a key
// that is shown does something. A record also says why its action cannot run
// now, in the user's words.
package action

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

// Danger says how carefully a screen must ask first.
type Danger uint8

// The degrees of danger.
const (
	Safe     Danger = iota
	Confirm         // ask yes or no, with no in focus
	TypeName        // ask for the name of what is lost
)

// Arg is one argument of an action.
type Arg struct {
	Name    string
	Help    string
	Flag    string // "" for a positional argument; else its flag without dashes
	Short   string // one-letter form of Flag
	Default string
	Switch  bool // a flag without a value
	Many    bool // takes all that is left, or may be repeated
	Need    bool
	Text    bool // shapes the lines that a command prints: a screen, which shows more, does not ask for it
}

// Args are the values given, by name of the argument.
type Args map[string][]string

// Get is the first value of name, or "".
func (a Args) Get(name string) string {
	if v := a[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// All are all values of name.
func (a Args) All(name string) []string { return a[name] }

// Has reports whether name was given.
func (a Args) Has(name string) bool { return len(a[name]) > 0 }

// Result is what an action did: Data for --json, Text for a person. Text may
// hold strings from outside; whoever shows it makes them safe.
type Result struct {
	Data any
	Text []string
	// Brief is for how long Text may stay on a terminal; 0 for ever. A face that
	// cannot take it back must not show it.
	Brief time.Duration
}

// Action is one thing a user can do.
type Action struct {
	ID     string // "project.new": the command is "project new"
	Title  string // for the palette and help: "Start a project"
	Help   string // a paragraph
	Args   []Arg
	Keys   []string // on the screen Screen
	Screen string
	Danger Danger
	Vault  bool // needs the vault open
	Daemon bool // runs until it is interrupted, and prints its notes
	Hidden bool // not in help
	// Can says why the action cannot run now; nil means always.
	Can func(app.Facts) (ok bool, why string)
	Run func(context.Context, *app.App, Args, progress.Sink) (Result, error)
}

// Command is the words that name the action on the command line.
func (a *Action) Command() string { return strings.ReplaceAll(a.ID, ".", " ") }

// Blocked says why a cannot run now, "" when it can.
func (a *Action) Blocked(f app.Facts) string {
	if a.Vault && !f.Unlocked {
		return "the vault is locked"
	}
	if a.Can != nil {
		if ok, why := a.Can(f); !ok {
			return why
		}
	}
	return ""
}

// Usage is the line that shows how to type the command.
func (a *Action) Usage() string {
	words := []string{a.Command()}
	for _, g := range a.Args {
		w := strings.ToUpper(g.Name)
		switch {
		case g.Flag != "" && g.Switch:
			w = "--" + g.Flag
		case g.Short != "":
			w = "-" + g.Short + " " + w
		case g.Flag != "":
			w = "--" + g.Flag + " " + w
		}
		if !g.Need {
			w = "[" + w + "]"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// Find returns the action with this id, or nil.
func Find(list []*Action, name string) *Action {
	i := slices.IndexFunc(list, func(a *Action) bool { return a.ID == name })
	if i < 0 {
		return nil
	}
	return list[i]
}

// Check is the rules of the registry, for its test: unique ids, and per screen
// unique keys.
func Check(list []*Action) error {
	ids, keys := map[string]bool{}, map[string]string{}
	for _, a := range list {
		if a.ID == "" || a.Title == "" || a.Run == nil || ids[a.ID] {
			return fmt.Errorf("action %q: needs a unique id, a title and something to run", a.ID)
		}
		ids[a.ID] = true
		for _, k := range a.Keys {
			at := a.Screen + " " + k
			if keys[at] != "" {
				return fmt.Errorf("key %q on screen %q: %s and %s", k, a.Screen, keys[at], a.ID)
			}
			keys[at] = a.ID
		}
	}
	return nil
}

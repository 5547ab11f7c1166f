package action

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func doctorAction() *Action {
	return &Action{ID: "doctor", Title: "Look whether vault, machine and environment are as they should be", Run: runDoctor,
		Help: "Changes nothing and asks nothing: what is in the vault is looked at only if the agent has it open, or with --open. It looks at rights and copies of the vault's file, at the ways to open it, at keyrings, agent, TPM and tokens, at memory, swap, environment, terminal, clock and disk. Ends with 0 unless something is bad. What it cannot know it says so. With --server it looks instead at what a measured image should be like (docs/measured-image.md): what this host says of itself, for its operator; the proof for others is the quote. Example: doctor --server --json.",
		Args: []Arg{{Name: "open", Flag: "open", Switch: true, Help: "open the vault, asking if need be, and look at what is in it"}, {Name: "server", Flag: "server", Switch: true, Help: "look at this machine as one that runs a server"}}}
}

func runDoctor(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	if args.Has("server") {
		r, err := findings(a.DoctorServer())
		r.Text = append(r.Text, "", "what this host says of itself; what it is, only a quote shows: attest")
		return r, err
	}
	if args.Has("open") {
		if _, err := a.UnlockAsking(ctx); err != nil {
			return Result{}, err
		}
	}
	return findings(a.Doctor(ctx))
}

// findings are lines for a person; the error says that some are bad.
func findings(all []app.Finding) (Result, error) {
	r := Result{Data: all}
	bad := 0
	for _, f := range all {
		r.Text = append(r.Text, beside(fmt.Sprintf("%s %-7s %-16s ", f.State.Glyph(), f.State, f.ID), f.Found)...)
		r.Text = append(r.Text, beside(strings.Repeat(" ", 27), f.Means)...)
		r.Text = append(r.Text, beside(fmt.Sprintf("%27s→ ", ""), f.Do)...)
		if f.State == app.Bad {
			bad++
		}
	}
	if bad > 0 {
		return r, fmt.Errorf("%w: %d of %d findings", app.ErrSick, bad, len(all))
	}
	return r, nil
}

// beside puts the words of text beside head, on lines of at most 80 cells that
// all begin where the first does; nothing for no text.
func beside(head, text string) []string {
	var out []string
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	line := head
	for _, w := range strings.Fields(text) {
		if line != head && line != indent && utf8.RuneCountInString(line+w) > 80 {
			out = append(out, strings.TrimRight(line, " "))
			line = indent
		}
		line += w + " "
	}
	if line == head {
		return nil
	}
	return append(out, strings.TrimRight(line, " "))
}

// Package demo is the main job of cipherdeck, end to end, in six acts: create
// a vault, seal a dataset, check a server, score blind, catch two cheats,
// share and revoke.
//
// Nothing in it is staged. The server and the node are this same program in
// processes of their own; the cheating ones are really different. All state is
// in a scratch folder that is removed at the end, and the user's own vault and
// keyring entries are never touched. An act fails when anything in it did not
// do what it should, also when a cheat was not caught.
package demo

import (
	"context"
	"time"

	"cipherdeck/crypto/progress"
)

// Mark is what a line of a report says of itself.
type Mark uint8

// The marks.
const (
	Info   Mark = iota // a figure or a fact
	Good               // did what it should
	Bad                // did not
	Caught             // a cheat was refused, as it should be
)

// Glyph is the sign before the line.
func (m Mark) Glyph() string { return [...]string{" ", "✓", "✗", "!"}[m] }

// Line is one line of a report. Text is safe to show.
type Line struct {
	Mark Mark   `json:"mark"`
	Text string `json:"text"`
}

// Report is what an act did.
type Report struct {
	Act     int            `json:"act"`
	Title   string         `json:"title"`
	OK      bool           `json:"ok"`
	Lines   []Line         `json:"-"`
	Figures map[string]any `json:"figures"`
	Took    time.Duration  `json:"-"`
	Seconds float64        `json:"seconds"`
}

// Act is one act of the story.
type Act struct {
	Number int
	Title  string
	Tell   string // what is about to happen, in a line
	ByHand string // the command that does the same
	Screen string // where the workstation shows it: "unlock", "projects", "servers", "jobs"
	run    func(context.Context, *Stage, *teller, progress.Sink) error
}

// Acts is the story in order.
func Acts() []Act {
	return []Act{
		{1, "Vault", "create a vault in a scratch home, lock it, unlock it", "cipherdeck vault init alice", "unlock", actVault},
		{2, "Seal", "seal 569 patients' measurements; look for them on the server's disk", "cipherdeck project add tumour-board assets/wdbc/wdbc.csv", "projects", actSeal},
		{3, "Attest", "make the server prove what it runs, before a job is sent", "cipherdeck server add CODE --signer KEY --root software; cipherdeck attest main", "servers", actAttest},
		{4, "Score blind", "score held-out rows on a node that sees them only encrypted", "cipherdeck run tumour-board --model logreg.onnx --data wdbc.csv --label malignant --node NODE", "jobs", actScore},
		{5, "Two cheats", "a changed server, then a node with a changed weight", "cipherdeck attest changed-program", "servers", actCheats},
		{6, "Share and revoke", "share with a second person, remove him, see what he can still read", "cipherdeck share tumour-board UID", "projects", actShare},
	}
}

// Perform runs one act on the stage. The report is never nil; the error is
// that of the first thing that did not do what it should.
func Perform(ctx context.Context, s *Stage, a Act, sink progress.Sink) (*Report, error) {
	r := &Report{Act: a.Number, Title: a.Title, Figures: map[string]any{}}
	t := &teller{r: r}
	start := time.Now()
	err := a.run(ctx, s, t, sink)
	r.Took = time.Since(start)
	r.Seconds = r.Took.Seconds()
	if err != nil {
		t.say(Bad, "%v", err)
	}
	r.OK = err == nil
	return r, err
}

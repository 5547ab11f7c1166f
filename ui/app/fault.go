package app

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
)

// The exit codes. They are stable: docs/exit-codes.md lists them, and a test
// compares the two.
const (
	ExitOK          = 0   // it did what it was asked
	ExitFailed      = 1   // anything not below
	ExitUsage       = 2   // the command line cannot be understood
	ExitLocked      = 3   // no or wrong passphrase, no key for this
	ExitRefused     = 4   // the server's evidence was refused, or a pinned fact changed
	ExitForbidden   = 5   // the server does not know this key, or it has no right here
	ExitDamaged     = 6   // bytes are damaged, forged, rolled back or not in the expected form
	ExitUnreachable = 7   // the server or node cannot be reached or did not answer
	ExitRejected    = 8   // a job's result was rejected
	ExitConflict    = 9   // it exists, or somebody changed it meanwhile
	ExitInput       = 10  // the input file, model or parameters cannot be used
	ExitInterrupted = 130 // it was interrupted by a signal
)

// Fault is an error for a person or a script: a stable code, the field or file
// it is about, what happened, what to do.
type Fault struct {
	Code  string `json:"code"`
	Field string `json:"field,omitempty"`
	Cause string `json:"cause"`
	Cure  string `json:"cure,omitempty"`
	Exit  int    `json:"exit"`
}

// codeChild is for a command that was run for somebody, which said itself what
// was wrong: its exit code is the answer.
const codeChild = "command-exit"

// OfChild reports whether f is the exit of a command that was run for somebody.
func (f Fault) OfChild() bool { return f.Code == codeChild }

// Explain turns an error into a Fault.
func Explain(err error) Fault {
	f := Fault{Code: "failed", Cause: err.Error(), Cure: failedCure, Exit: ExitFailed}
	for _, r := range faultRules() {
		if errors.Is(err, r.is) {
			f.Code, f.Exit, f.Cure = r.code, r.exit, r.cure
			if f.Exit == ExitInterrupted {
				f.Cause = strings.ReplaceAll(f.Cause, context.Canceled.Error(), "interrupted")
			}
			break
		}
	}
	if child := new(exec.ExitError); errors.Is(err, ErrCommand) && errors.As(err, &child) && child.ExitCode() > 0 {
		f.Code, f.Exit = codeChild, child.ExitCode()
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		f.Field = p.Path
	}
	return f
}

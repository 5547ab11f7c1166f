package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func runAttestReport(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	spec := app.ReportSpec{File: args.Get("file"), With: args.All("with"), Manifest: args.Get("manifest"), At: a.Now(), Policy: attest.Policy{Product: app.Product}}
	if err := policyFlags(&spec.Policy, args); err != nil {
		return Result{}, err
	}
	if (spec.Manifest == "") != (len(spec.Policy.Signers) == 0) {
		return Result{}, fmt.Errorf("%w: --manifest goes with --signer: whose word it is", app.ErrInput)
	}
	var err error
	if at := args.Get("at"); at != "" {
		if spec.At, err = time.Parse(time.RFC3339, at); err != nil {
			return Result{}, fmt.Errorf("%w: --at %q: want a time such as 2026-03-01T12:00:00Z", app.ErrInput, at)
		}
	}
	if b := args.Get("bind"); b != "" {
		if spec.Bind, err = hex.DecodeString(b); err != nil || len(spec.Bind) != sha256.Size {
			return Result{}, fmt.Errorf("%w: --bind: want %d bytes in hex", app.ErrInput, sha256.Size)
		}
	}
	v, err := app.JudgeReport(ctx, spec)
	if v == nil {
		return Result{}, err
	}
	r, derr := judged(v, args)
	if derr != nil {
		return r, derr
	}
	for _, id := range []string{attest.LinkNonce, attest.LinkMeasure} { // what nobody said, and what it is
		if l := v.Link(id); v.Broken() == nil && l.State == attest.NotChecked {
			r.Text = append(r.Text, "  "+id+": "+l.Found)
		}
	}
	r.Text = append(r.Text, "  as of "+spec.At.UTC().Format("2006-01-02 15:04:05 UTC")+"; that it was made for you, now, is the word of whoever gave you the file")
	return r, err
}

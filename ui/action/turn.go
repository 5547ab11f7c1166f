package action

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func runAccountRotate(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	bits := 0
	if v := args.Get("rsa"); v != "" {
		var err error
		if bits, err = strconv.Atoi(v); err != nil || bits == 0 {
			return Result{}, fmt.Errorf("%w: --rsa %q: want a number of bits", app.ErrInput, v)
		}
	}
	var t app.Turn
	var err error
	if args.Has("status") {
		t, err = a.AccountTurn(ctx)
	} else {
		t, err = a.RotateAccount(ctx, bits, sink)
	}
	if err != nil && !errors.Is(err, app.ErrUnfinished) {
		return Result{}, err
	}
	return Result{Data: t, Text: turnLines(t)}, err
}

func turnLines(t app.Turn) []string {
	if t.Times == 0 {
		return []string{"the keys of this account are the first ones: they were never changed"}
	}
	text := []string{fmt.Sprintf("keys changed by account link %d  %s", t.Link, t.LinkID)}
	text = append(text, handedLines(t.Servers)...)
	for _, p := range t.Projects {
		switch {
		case p.Done:
			text = append(text, fmt.Sprintf("  ✓ project %s: link %d brought them (%s), key of epoch %d is from link %d", p.Name, p.Seq, p.Link.Short(), p.Epoch, p.Since))
		case len(p.Who) > 0:
			text = append(text, fmt.Sprintf("  ! project %s: link %d brought them; a new key is due, which %s can make: project rotate", p.Name, p.Seq, strings.Join(p.Who, " or ")))
		default:
			text = append(text, "  ✗ project "+p.Name+": "+p.Cause)
		}
	}
	for _, d := range t.Devices {
		text = append(text, "  → your device "+d+" needs the keys: device keys "+strconv.Quote(d)+" -o FILE")
	}
	if t.Done {
		return append(text, "✓ done: every server and project has the new keys")
	}
	return append(text, "not done: the same command goes on where it stopped")
}

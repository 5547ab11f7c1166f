package action

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"

	"cipherdeck/attest"
	"cipherdeck/attest/ek"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func runMachine(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return showMachine(a, args.Get("server"))
}

func showMachine(a *app.App, name string) (Result, error) {
	m, err := a.Machine(name)
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: m}
	if m.Words == "" {
		r.Text = []string{m.Server + "  never attested: attest " + m.Server}
	} else {
		r.Text = append([]string{m.Server + "  " + m.Words, "  (8 words are 88 of its 256 bits; compare them by voice)", "  digits  " + m.Digits}, m.Art...)
		r.Text = append(r.Text, "  attestation key   "+m.AK, "  endorsement key   "+m.EK)
	}
	if m.Held != "" {
		r.Text = append(r.Text, "  ✗ jobs are suspended: "+m.Held)
	}
	if m.Good != "" {
		r.Text = append(r.Text, "  drift is measured from "+m.Good)
	}
	for _, h := range m.History {
		line := fmt.Sprintf("  %s  %-9s manifest %d, reset %d", h.At.Format("2006-01-02 15:04:05"), h.Word, h.Version, h.Resets)
		if h.Note != "" {
			line += "  " + h.Note
		}
		if h.Times > 0 {
			line += fmt.Sprintf("  (nothing new %d more times, until %s)", h.Times, h.Last.Format("2006-01-02 15:04:05"))
		}
		r.Text = append(r.Text, line)
	}
	return r, nil
}

func runResume(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return resume(a, args.Get("server"))
}

func resume(a *app.App, name string) (Result, error) {
	why, err := a.Resume(name)
	if err != nil {
		return Result{}, err
	}
	text := "resumed; it was suspended because " + why
	if why == "" {
		text = "nothing was suspended"
	}
	return Result{Data: map[string]string{"server": name, "was": why}, Text: []string{text}}, nil
}

func runForgetMachine(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	err := a.ForgetMachine(args.Get("server"))
	return Result{Data: map[string]string{"server": args.Get("server")}, Text: []string{"forgotten: the next machine that attests is taken for the right one; compare its words: server machine " + args.Get("server")}}, err
}

func runServerRoot(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	name := args.Get("server")
	if args.Has("remove") {
		return Result{Data: map[string]string{"server": name}, Text: []string{"only the shipped roots are accepted now"}}, a.SetRoots(name, nil)
	}
	raw, err := os.ReadFile(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	b, _ := pem.Decode(raw)
	if b == nil || b.Type != "CERTIFICATE" {
		return Result{}, fmt.Errorf("%w: %s: %w: no certificate in PEM", app.ErrInput, args.Get("file"), ek.ErrCertificate)
	}
	kind, err := parseRoot(args.Get("kind"))
	if err != nil {
		return Result{}, err
	}
	root := attest.Root{Name: args.Get("file"), Kind: kind, Cert: b.Bytes, Added: true}
	if err := ek.CheckAdded(root); err != nil {
		return Result{}, err
	}
	sum := id.Of(b.Bytes)
	return Result{Data: rootView{root.Name, kind.String(), hex.EncodeToString(sum[:])}, Text: []string{fmt.Sprintf("accepted for %s: %s, as %s", name, root.Name, kind)}}, a.SetRoots(name, &root)
}

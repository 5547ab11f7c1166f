package action

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/ui/app"
	"cipherdeck/vault"
)

func rand() io.Reader { return cryptorand.Reader }

func fileActions() []*Action {
	out := Arg{Name: "out", Flag: "output", Short: "o", Help: "file to write, - for standard output", Need: true}
	pass := Arg{Name: "passphrase", Flag: "passphrase", Switch: true, Help: "use a passphrase instead of the vault's identity"}
	force := Arg{Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}
	return []*Action{
		{ID: "seal", Title: "Encrypt a file or a folder for yourself and others",
			Help: "Writes a container (docs/formats/container.md) that you and every --to person can open, and who holds a --to-key, and every member of --project who can read it, now or later: removing a member does not take it away from him. With --passphrase no vault is needed. Of a table (.csv, .tsv, .jsonl, .parquet) a profile goes into the encrypted facts: data preview shows it without opening the rows. The output appears under its name only when it is complete.",
			Args: append([]Arg{out, {Name: "in", Help: "file or folder to read, - for standard input", Need: true},
				{Name: "to", Flag: "to", Many: true, Help: "user id of a person who may open it too"}, pass, force,
				{Name: "no-profile", Flag: "no-profile", Switch: true, Help: "seal a .csv, .tsv, .jsonl or .parquet that is no table, or is damaged"},
				{Name: "pad", Flag: "pad", Switch: true, Help: "hide the length: at most 12 % more bytes"},
				{Name: "hidden", Flag: "hidden", Switch: true, Help: "leave out the key ids that say for whom it is"},
				{Name: "cbc", Flag: "cbc", Switch: true, Help: "AES-256-CBC with HMAC-SHA-512, for readers who must have CBC; slower"}}, audienceArgs()...),
			Run: func(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
				return onFile(ctx, a, args, sink, "New passphrase", "sealed", a.Seal)
			}},
		{ID: "open", Title: "Decrypt a sealed file",
			Help: "The output appears under its name only when the container was authenticated to its last byte. To standard output, authenticated chunks are written as they come and the exit code tells whether the end was good.",
			Args: []Arg{out, {Name: "in", Help: "container to read, - for standard input", Need: true}, {Name: "member", Flag: "member", Help: "only this file or folder of a sealed folder"}, pass, force,
				{Name: "key", Flag: "key", Help: "file with an RSA private key in PEM, instead of the vault: opens what was sealed --to-key"}},
			Run: func(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
				return onFile(ctx, a, args, sink, "Passphrase", "opened", a.Unseal)
			}},
		{ID: "inspect", Title: "Show what anybody can see of a sealed file",
			Help: "Reads the header without any key: version, and for whom the file is sealed. None of it is authenticated; only opening is.",
			Args: []Arg{{Name: "in", Help: "container to read", Need: true}},
			Run:  runInspect},
	}
}

// orPassphrase says for a container that only a passphrase opens that no vault is
// wanted for it.
func orPassphrase(err error, in string, opening bool) error {
	if !opening || in == "-" || !errors.Is(err, vault.ErrNotFound) {
		return err
	}
	i, bad := app.InspectFile(in, nil)
	if bad != nil || len(i.Recipients) != 1 || i.Recipients[0].Type != seal.TypePassphrase {
		return err
	}
	return fmt.Errorf("%s: %w", in, seal.ErrByPassphrase)
}

type fileWork func(ctx context.Context, spec app.SealSpec, in io.Reader, out io.Writer, sink progress.Sink) (app.Sealed, error)

func onFile(ctx context.Context, a *app.App, args Args, sink progress.Sink, prompt, verb string, work fileWork) (Result, error) {
	spec := app.SealSpec{In: args.Get("in"), Out: args.Get("out"), Force: args.Has("force"), KeyFile: args.Get("key"),
		Pad: args.Has("pad"), CBC: args.Has("cbc"), NoProfile: args.Has("no-profile")}
	if spec.Out == "-" && args.Has("json") {
		return Result{}, fmt.Errorf("%w: with --json standard output is for the answer; give -o a file name", app.ErrInput)
	}
	var err error
	if spec.For, err = audience(args, "to"); err != nil {
		return Result{}, err
	}
	if args.Has("passphrase") {
		pw, err := a.Ask(ctx, prompt, verb == "sealed")
		if err != nil {
			return Result{}, err
		}
		defer clear(pw)
		spec.Passphrase = pw
	} else if spec.KeyFile == "" {
		if _, err := a.UnlockAsking(ctx); err != nil {
			return Result{}, orPassphrase(err, args.Get("in"), verb == "opened")
		}
	}
	if m := args.Get("member"); m != "" {
		work = func(ctx context.Context, spec app.SealSpec, _ io.Reader, _ io.Writer, sink progress.Sink) (app.Sealed, error) {
			return a.OpenMember(ctx, spec, m, sink)
		}
	}
	in, out := stdio()
	done, err := work(ctx, spec, in, out, sink)
	if err != nil || spec.Out == "-" {
		return Result{}, err
	}
	r := Result{Data: done, Text: []string{fmt.Sprintf("%s %s", verb, done.Out)}}
	if n := done.WeakerTo; n > 0 {
		r.Text = append(r.Text, fmt.Sprintf("! not post-quantum: %d of %d recipients have it by RSA alone", n, done.To))
	}
	return r, nil
}

// count is "1 recipient", "2 recipients".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// audienceArgs are the flags that say for whom, besides people.
func audienceArgs() []Arg {
	return []Arg{
		{Name: "unverified", Flag: "unverified", Switch: true, Help: "accept people whose words were not compared"},
		{Name: "to-key", Flag: "to-key", Many: true, Help: "file with an RSA public key or certificate in PEM, for a reader with an HSM or other tools; not post-quantum, and whose key it is nobody checks"},
		{Name: "project", Flag: "project", Help: "all who can read this project, by the key of its current epoch; its server is asked"},
		{Name: "wrap", Flag: "wrap", Help: "how you and people are addressed: hybrid (default), x-wing, or rsa, which is not post-quantum"},
	}
}

// audience reads those flags, and user ids from the argument people.
func audience(args Args, people string) (app.Audience, error) {
	w := app.Audience{Unverified: args.Has("unverified"), Wrap: args.Get("wrap"), Hidden: args.Has("hidden"), KeyFiles: args.All("to-key"), Project: args.Get("project")}
	var err error
	w.People, err = parseUIDs(args.All(people))
	return w, err
}

func runInspect(_ context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	i, err := app.InspectFile(args.Get("in"), os.Stdin)
	if err != nil {
		return Result{}, err
	}
	return inspected(i, nil), nil
}

// inspected shows a header; names has one for each recipient, or "".
func inspected(i seal.Info, names []string) Result {
	view := viewContainer(i)
	r := Result{Text: []string{
		fmt.Sprintf("container v%d, header %d bytes, file %x; nothing here is authenticated without a key", i.Version, i.HeaderLen, i.File),
		count(len(i.Recipients), "recipient"),
	}}
	if !i.PostQuantum() {
		r.Text = append(r.Text, "! not post-quantum: a quantum computer will open what only one of them needs")
	}
	for k, rc := range i.Recipients {
		line := "  " + recipientLine(rc)
		if k < len(names) && names[k] != "" {
			line += "  (" + names[k] + ")"
			view.Recipients[k].Name = names[k]
		}
		r.Text = append(r.Text, line)
	}
	r.Data = view
	return r
}

func recipientLine(r seal.RecipientInfo) string {
	switch {
	case r.Hidden:
		return "hidden: only who can open it learns that it is his"
	case r.Type == seal.TypeHybrid:
		return fmt.Sprintf("hybrid: RSA %s and X-Wing %s together", r.RSA, r.XWing)
	case r.Type == seal.TypeXWing:
		return fmt.Sprintf("x-wing: X-Wing %s alone", r.XWing)
	case r.Type == seal.TypeRSA:
		return fmt.Sprintf("rsa: RSA %s alone, not post-quantum", r.RSA)
	case r.Type == seal.TypePassphrase:
		return fmt.Sprintf("passphrase: Argon2id t=%d m=%d KiB p=%d", r.Cost.T, r.Cost.MKiB, r.Cost.P)
	case r.Type == seal.TypeEpoch:
		return fmt.Sprintf("epoch: epoch %d of project %s…", r.Epoch, projectPrefix(r.Prefix))
	}
	return fmt.Sprintf("type %d, not known", r.Type)
}

// projectPrefix is how the id of a project begins, as project list shows it: the
// text has 5 bits a character, and 4 bytes come before the id.
func projectPrefix(prefix [16]byte) string {
	var i id.ID
	copy(i[:], prefix[:])
	return i.String()[:1+(4+len(prefix))*8/5]
}

package action

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"cipherdeck/crypto/archive"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/ui/app"
)

func containerActions() []*Action {
	in := Arg{Name: "in", Help: "container", Need: true}
	pass := Arg{Name: "passphrase", Flag: "passphrase", Switch: true, Help: "open it with a passphrase instead of the vault's identity"}
	uids := Arg{Name: "uid", Help: "user ids", Many: true}
	out := Arg{Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}
	force := Arg{Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}
	return []*Action{
		{ID: "verify", Title: "Check a sealed file to its last byte, and write nothing", Args: []Arg{in, pass}, Run: runVerify,
			Help: "Opens the container and authenticates everything in it, of a folder each file and the index as well."},
		{ID: "ls", Title: "List the folder in a sealed file", Args: []Arg{in, pass}, Run: runList,
			Help: "Reads only the index. Take one file out with: open --member PATH."},
		{ID: "recipients.list", Title: "Say for whom a file is sealed", Args: []Arg{in}, Run: runRecipients,
			Help: "Shows the key ids in the header, which anybody can see and nobody has authenticated; beside them names, if the vault can be opened without asking."},
		{ID: "recipients.add", Title: "Give more people a sealed file", Vault: true, Args: append([]Arg{in, uids}, audienceArgs()...), Run: runRecipientsAdd,
			Help: "Writes a new header; the payload is moved, not decrypted."},
		{ID: "recipients.rm", Title: "Take a sealed file away from people", Vault: true, Danger: Confirm, Args: []Arg{in, uids,
			{Name: "to-key", Flag: "to-key", Many: true, Help: "file with the RSA public key or certificate in PEM"}, {Name: "project", Flag: "project", Help: "all epochs of this project"}}, Run: runRecipientsRemove,
			Help: "Writes a new header. Who kept the old file, or opened it once, still has its key: reseal ends that."},
		{ID: "reseal", Title: "Encrypt a sealed file anew, with a new key", Vault: true, Args: append([]Arg{in, {Name: "to", Flag: "to", Many: true, Help: "user id of a person who may open it besides you"}}, audienceArgs()...), Run: runReseal,
			Help: "For you and those named, and for nobody else: what recipients rm alone cannot do."},
		{ID: "age.export", Title: "Write the content of a sealed file as an age file",
			Help: "For readers who have age. A folder becomes a tar archive. age uses ChaCha20-Poly1305 with a 128-bit file key; who may open it is up to the recipients you name.",
			Args: []Arg{out, in, {Name: "to", Flag: "to", Many: true, Need: true, Help: "age1…, ssh-ed25519 …, ssh-rsa …"}, {Name: "armor", Flag: "armor", Switch: true, Help: "write text"}, pass, force},
			Run:  runAgeExport},
		{ID: "age.import", Title: "Seal the content of an age file", Vault: true,
			Help: "The content is never on disk in clear.",
			Args: []Arg{out, in, {Name: "keys", Flag: "keys", Help: "file of age private keys, or an SSH private key without a passphrase; --identity says the same"}, force},
			Run:  runAgeImport},
	}
}

// opening gets what opens a container: a passphrase when asked for, else the
// vault.
func opening(ctx context.Context, a *app.App, args Args) ([]byte, error) {
	if args.Has("passphrase") {
		return a.Ask(ctx, "Passphrase", false)
	}
	_, err := a.UnlockAsking(ctx)
	return nil, orPassphrase(err, args.Get("in"), true)
}

func runVerify(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	pw, err := opening(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	defer clear(pw)
	r, err := a.VerifyContainer(ctx, args.Get("in"), os.Stdin, pw, sink)
	if err != nil {
		return Result{}, err
	}
	data := map[string]any{"in": args.Get("in"), "size": r.Size, "stored": r.Stored, "entries": r.Entries, "name": r.Meta.Name}
	return Result{Data: data, Text: []string{fmt.Sprintf("✓ whole: %d bytes of content in %d bytes, %d entries", r.Size, r.Stored, r.Entries)}}, nil
}

// entryView is one entry of a sealed folder in JSON.
type entryView struct {
	Path     string `json:"path"`
	Kind     string `json:"kind"`
	Size     int64  `json:"size"`
	Modified string `json:"modified"`
	Target   string `json:"target,omitempty"`
}

func runList(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	pw, err := opening(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	defer clear(pw)
	entries, err := a.ListContainer(ctx, args.Get("in"), pw)
	if err != nil {
		return Result{}, err
	}
	var r Result
	views := []entryView{}
	for _, e := range entries {
		v := entryView{e.String(), kindWord(e.Kind), e.Size, e.Modified().UTC().Format("2006-01-02 15:04"), e.Target}
		views = append(views, v)
		r.Text = append(r.Text, fmt.Sprintf("%-4s %12d  %s  %s", v.Kind, v.Size, v.Modified, v.Path))
	}
	r.Data = views
	return r, nil
}

func kindWord(k archive.Kind) string {
	switch k {
	case archive.Dir:
		return "dir"
	case archive.Link:
		return "link"
	}
	return "file"
}

func runRecipients(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	i, err := app.InspectFile(args.Get("in"), os.Stdin)
	if err != nil {
		return Result{}, err
	}
	return inspected(i, a.NamesOf(ctx, i)), nil
}

func runRecipientsAdd(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	w, err := audience(args, "uid")
	if err != nil {
		return Result{}, err
	}
	return changeResult(a.AddRecipients(ctx, args.Get("in"), w))
}

func runRecipientsRemove(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	w, err := audience(args, "uid")
	if err != nil {
		return Result{}, err
	}
	return changeResult(a.RemoveRecipients(ctx, args.Get("in"), w))
}

func runReseal(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	w, err := audience(args, "to")
	if err != nil {
		return Result{}, err
	}
	return changeResult(a.Reseal(ctx, args.Get("in"), w, sink))
}

func parseUIDs(words []string) ([]chain.UID, error) {
	var out []chain.UID
	for _, w := range words {
		u, err := chain.ParseUID(w)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

func changeResult(c seal.Change, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	r := Result{
		Data: map[string]any{"before": len(c.Before), "after": len(c.After), "key_kept": c.KeyKept, "locked_out": c.LockedOut},
		Text: []string{fmt.Sprintf("%s, there were %d", count(len(c.After), "recipient"), len(c.Before))},
	}
	if !(seal.Info{Recipients: c.After}).PostQuantum() {
		r.Text = append(r.Text, "! not post-quantum: it has a recipient by RSA alone")
	}
	if c.KeyKept {
		r.Text = append(r.Text, "! the payload has the same key as before: who kept the old file or its key can still open it; end that with: reseal")
	}
	if c.LockedOut {
		r.Text = append(r.Text, "! you cannot open it any more yourself")
	}
	return r, nil
}

func runAgeExport(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	pw, err := opening(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	defer clear(pw)
	spec := app.AgeSpec{In: args.Get("in"), Out: args.Get("out"), To: args.All("to"), Passphrase: pw, Armor: args.Has("armor"), Force: args.Has("force")}
	return wrote(spec.Out, a.ExportAge(ctx, spec, sink))
}

func runAgeImport(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	spec := app.AgeSpec{In: args.Get("in"), Out: args.Get("out"), Keys: cmp.Or(args.Get("keys"), args.Get("identity")), Force: args.Has("force")}
	if spec.Keys == "" {
		return Result{}, fmt.Errorf("%w: --keys is missing", app.ErrUsage)
	}
	return wrote(spec.Out, a.ImportAge(ctx, spec, sink))
}

// wrote is the result of writing out, unless err says that it was not.
func wrote(out string, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"out": out}, Text: []string{"wrote " + out}}, nil
}

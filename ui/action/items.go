package action

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

func itemActions() []*Action {
	item := Arg{Name: "item", Help: "name of the item", Need: true}
	offline := Arg{Name: "offline", Flag: "offline", Switch: true, Help: "work with what this machine keeps; changes wait for project sync"}
	return []*Action{
		{ID: "project.add", Title: "Seal a file into a project", Keys: []string{"e"}, Screen: "projects", Vault: true,
			Help: "The file is encrypted here in pieces of 1 MiB and only ciphertext is sent. Repeat the command after a failure: it goes on where it stopped. A dataset must be a CSV of numbers with a header; a task and a run are JSON documents. With --update it becomes a new version of the item of that name, and only pieces that changed are sent.",
			Args: []Arg{projectArg(), {Name: "file", Help: "file to add", Need: true}, {Name: "kind", Flag: "kind", Help: "dataset (when not said), model, task, artifact or run"},
				{Name: "update", Flag: "update", Switch: true, Help: "a new version of the item that is there"}, {Name: "name", Flag: "name", Help: "name of the item; default: of the file"},
				{Name: "message", Flag: "message", Short: "m", Help: "why this version"}, {Name: "tag", Flag: "tag", Many: true, Help: "tag of a new item"}, {Name: "set", Flag: "set", Many: true, Help: "KEY=VALUE, a fact about this version"}, offline},
			Can: needsProject, Run: runProjectAdd},
		{ID: "project.get", Title: "Decrypt an item of a project into a file", Vault: true,
			Help: "The file appears under its name only when every piece was authenticated.",
			Args: []Arg{projectArg(), item, {Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}, {Name: "version", Flag: "version", Help: "number of the version; default: the newest"}, {Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}, offline},
			Run:  runProjectGet},
		{ID: "project.info", Title: "Show all that is known about an item", Vault: true, Run: runProjectInfo,
			Help: "Kind, columns, facts, note, tags, names of its pieces; of a task or a run its document.",
			Args: []Arg{projectArg(), item, offline}},
		{ID: "project.history", Title: "List the versions of an item and the notes about it", Vault: true, Run: runProjectHistory,
			Help: "Every version can be had with project get --version.",
			Args: []Arg{projectArg(), item, offline}},
		{ID: "project.tag", Title: "Put tags on an item, or take them off", Vault: true, Run: runProjectTag,
			Help: "Tags are encrypted like names; a tag has no comma and no space.",
			Args: []Arg{projectArg(), item, {Name: "tags", Help: "tags to put on it", Many: true}, {Name: "remove", Flag: "remove", Many: true, Help: "tag to take off"}, offline}},
		{ID: "project.note", Title: "Write a note about an item", Vault: true, Run: runProjectNote,
			Help: "Encrypted like everything in a project. Earlier notes stay in the history.",
			Args: []Arg{projectArg(), item, {Name: "text", Help: "the note; left out or -: standard input"}, offline}},
		{ID: "project.rename", Title: "Rename an item", Vault: true, Run: runProjectRename,
			Help: "Versions, notes and tags stay with it; the server does not see the name.",
			Args: []Arg{projectArg(), item, {Name: "name", Help: "new name", Need: true}, offline}},
		{ID: "project.rm", Title: "Remove an item from a project", Danger: TypeName, Vault: true, Run: runProjectRemove,
			Help: "With all its versions. The server's operator collects the bytes later; who has them already keeps them.",
			Args: []Arg{projectArg(), item, offline}},
		{ID: "project.resolve", Title: "Choose among versions that were made at the same time", Vault: true, Run: runProjectResolve,
			Help: "The others stay in the history.",
			Args: []Arg{projectArg(), item, {Name: "version", Help: "number of the version that counts", Need: true}, offline}},
		{ID: "project.sync", Title: "Send what was done offline", Vault: true, Run: runProjectSync,
			Help: "In the order in which it was done. What others changed meanwhile stays: an item that both changed has two versions then. Who was removed meanwhile gets his work as files with --export.",
			Args: []Arg{projectArg(), {Name: "export", Flag: "export", Help: "do not send: write what waits into this folder"}, {Name: "discard", Flag: "discard", Switch: true, Help: "do not send: forget what waits"}}},
		{ID: "project.epochs", Title: "Show what lies under the keys of which epoch", Vault: true, Run: runProjectEpochs,
			Help: "Who was a member in an epoch, and kept the keys of items, opens what lies under them if a server gives him the bytes. When only the newest epoch has anything, all is re-encrypted.",
			Args: []Arg{projectArg()}},
		{ID: "project.reencrypt", Title: "Encrypt anew what removed members could read", Vault: true, Run: runProjectReencrypt,
			Help: "Every item under a key of an old epoch gets a new key, and its pieces are fetched and sent again; it can be stopped at any time and called again. With --metadata-only names and keys alone are sealed under the new epoch: quick, and no help against who kept the keys of items.",
			Args: []Arg{projectArg(), {Name: "metadata-only", Flag: "metadata-only", Switch: true, Help: "names and keys only"}},
			Can:  needsProject},
	}
}

func here(ctx context.Context, a *app.App, args Args) (*project.Project, error) {
	return a.ProjectHere(ctx, args.Get("project"), args.Has("offline"))
}

func runProjectAdd(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	p, err := here(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	c := app.NewContent{Path: args.Get("file"), Name: args.Get("name"), Kind: project.Kind(args.Get("kind")), Update: args.Has("update"),
		Message: args.Get("message"), Tags: args.All("tag"), Facts: args.All("set")}
	if c.Kind == "" && !c.Update {
		c.Kind = project.Dataset
	}
	it, err := a.AddContent(ctx, p, c, sink)
	if err != nil {
		return Result{}, err
	}
	v := viewItem(it)
	v.Waits = p.Offline()
	return Result{Data: v, Text: waits(p, fmt.Sprintf("sealed %s: %d bytes, pieces %d, epoch %d, version %d", v.Name, v.Size, v.Pieces, p.State().Epoch().Number, v.Rev))}, nil
}

// waits adds that a change was not sent yet.
func waits(p *project.Project, line string) []string {
	if !p.Offline() {
		return []string{line}
	}
	return []string{line, "  kept on this machine; send it with: project sync"}
}

func runProjectGet(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	rev, err := number(args, "version")
	if err != nil {
		return Result{}, err
	}
	p, it, err := itemHere(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	out := args.Get("out")
	if err := seal.WriteFile(out, args.Has("force"), func(w io.Writer) error { return p.ReadVersion(ctx, it, rev, w, sink) }); err != nil {
		return Result{}, err
	}
	r := Result{Data: app.Sealed{Out: out, Name: it.Name, Size: it.Size}, Text: []string{"wrote " + out}}
	if it.Heads > 1 && rev == 0 {
		r.Text = append(r.Text, fmt.Sprintf("  ! %d versions were made at the same time; this is version %d. See project history, project resolve", it.Heads, it.Rev))
	}
	return r, nil
}

func number(args Args, name string) (uint64, error) {
	if !args.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseUint(args.Get(name), 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: version %q is not a number from 1 on", app.ErrInput, args.Get(name))
	}
	return n, nil
}

func itemHere(ctx context.Context, a *app.App, args Args) (*project.Project, project.Item, error) {
	p, err := here(ctx, a, args)
	if err != nil {
		return nil, project.Item{}, err
	}
	it, err := p.Item(args.Get("item"))
	return p, it, err
}

func runProjectInfo(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, it, err := itemHere(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	r, err := p.Record(ctx, it.ID)
	if err != nil {
		return Result{}, err
	}
	ids, err := p.PieceIDs(ctx, it)
	if err != nil {
		return Result{}, err
	}
	d, err := a.Document(ctx, p, it)
	if err != nil {
		return Result{}, err
	}
	return showRecord(it, r, ids, d), nil
}

func runProjectHistory(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, it, err := itemHere(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	r, err := p.Record(ctx, it.ID)
	if err != nil {
		return Result{}, err
	}
	return showHistory(it, r), nil
}

// change makes one change of the item that args name, and shows the item.
func change(ctx context.Context, a *app.App, args Args, o project.Op) (Result, error) {
	p, err := here(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	name := args.Get("item")
	if err := a.Change(ctx, p, name, o); err != nil {
		return Result{}, err
	}
	if o.Do == project.DoRemove {
		return Result{Data: map[string]any{"removed": name, "waits": p.Offline()}, Text: waits(p, "removed "+name)}, nil
	}
	if o.Name != "" {
		name = o.Name
	}
	it, err := p.Item(name)
	if err != nil {
		return Result{}, err
	}
	v := viewItem(it)
	v.Waits = p.Offline()
	return Result{Data: v, Text: waits(p, itemLine(it))}, nil
}

func runProjectTag(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	o := project.Op{Do: project.DoTag, Tags: args.All("tags"), Untag: args.All("remove")}
	if len(o.Tags)+len(o.Untag) == 0 {
		return Result{}, fmt.Errorf("%w: name a tag to put on it, or --remove TAG", app.ErrInput)
	}
	return change(ctx, a, args, o)
}

func runProjectNote(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	text := args.Get("text")
	if text == "" || text == "-" {
		const most = 16 << 10
		b, err := io.ReadAll(io.LimitReader(os.Stdin, most+1))
		if err != nil {
			return Result{}, err
		}
		if len(b) > most {
			return Result{}, fmt.Errorf("%w: the note is longer than %d bytes", app.ErrInput, most)
		}
		text = strings.TrimRight(string(b), "\n")
	}
	return change(ctx, a, args, project.Op{Do: project.DoNote, Text: text})
}

func runProjectRename(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return change(ctx, a, args, project.Op{Do: project.DoRename, Name: args.Get("name")})
}

func runProjectRemove(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return change(ctx, a, args, project.Op{Do: project.DoRemove})
}

func runProjectResolve(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	rev, err := number(args, "version")
	if err != nil {
		return Result{}, err
	}
	return change(ctx, a, args, project.Op{Do: project.DoResolve, Rev: rev})
}

func runProjectSync(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	name := args.Get("project")
	switch dir := args.Get("export"); {
	case dir != "":
		files, err := a.ExportUnsent(name, dir)
		if err != nil {
			return Result{}, err
		}
		return Result{Data: map[string]any{"files": list(files)}, Text: []string{fmt.Sprintf("wrote %d files into %s; what waits still waits: --discard forgets it", len(files), dir)}}, nil
	case args.Has("discard"):
		n, err := a.DiscardUnsent(name)
		return Result{Data: map[string]any{"discarded": n}, Text: []string{fmt.Sprintf("forgot %d changes", n)}}, err
	}
	p, done, err := a.SyncProject(ctx, name, sink)
	if err != nil {
		return Result{}, err
	}
	return showSync(p, done), nil
}

func runProjectEpochs(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	return showEpochs(p), nil
}

func runProjectReencrypt(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	n, err := a.Reencrypt(ctx, p, args.Has("metadata-only"), sink)
	if err != nil {
		return Result{}, err
	}
	r := showEpochs(p)
	r.Text = append([]string{fmt.Sprintf("%d items were done", n)}, r.Text...)
	return r, nil
}

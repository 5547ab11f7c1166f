package action

import (
	"context"
	"fmt"
	"io"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project/bundle"
)

func bundleActions() []*Action {
	in := Arg{Name: "in", Help: "folder or tar file of project export", Need: true}
	return []*Action{
		{ID: "project.export", Title: "Copy all of a project into a folder or tar file", Vault: true, Run: runProjectExport,
			Help: "Everything that the server has and the project needs, encrypted as it is there; old versions too. It opens with the vault of a member, or a recovery of it, when the server is gone: bundle open.",
			Args: []Arg{projectArg(), {Name: "out", Flag: "output", Short: "o", Help: "new folder, or a file that ends in .tar", Need: true}, {Name: "proof", Flag: "proof", Many: true, Help: "file with a checkpoint or a proof, to be put beside it"}}},
		{ID: "bundle.open", Title: "Show a project from a bundle", Vault: true, Run: runBundleOpen,
			Help: "No server is asked. The whole chain of links is verified.", Args: []Arg{in}},
		{ID: "bundle.verify", Title: "Check that a bundle is whole", Vault: true, Run: runBundleVerify,
			Help: "Verifies the chain, and reads every blob that the project needs and compares it with its name.", Args: []Arg{in}},
		{ID: "bundle.get", Title: "Decrypt an item from a bundle", Vault: true, Run: runBundleGet,
			Help: "The file appears under its name only when every piece was authenticated. No server is asked.",
			Args: []Arg{in, {Name: "item", Help: "name of the item", Need: true}, {Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true},
				{Name: "version", Flag: "version", Help: "number of the version; default: the newest"}, {Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}}},
	}
}

func runProjectExport(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	i, err := a.ExportProject(ctx, p, args.Get("out"), args.All("proof"), sink)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: i, Text: []string{fmt.Sprintf("wrote %s: %d blobs, %d bytes, up to link %d", args.Get("out"), i.Blobs, i.Bytes, i.Seq)}}, nil
}

func runBundleOpen(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	b, p, note, err := a.OpenBundle(ctx, args.Get("in"))
	if err != nil {
		return Result{}, err
	}
	defer b.Close()
	r := showProject(p)
	r.Text = append(r.Text, "  "+note)
	return r, nil
}

func runBundleVerify(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	b, p, note, err := a.OpenBundle(ctx, args.Get("in"))
	if err != nil {
		return Result{}, err
	}
	defer b.Close()
	c, err := bundle.Verify(ctx, b, p, sink)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]any{"project": p.ID(), "seq": p.Seen().Seq, "blobs": c.Blobs, "bytes": c.Bytes, "other": c.Other, "note": note},
		Text: []string{fmt.Sprintf("whole: %d links, %d blobs, %d bytes; %d blobs that the project does not need", p.Seen().Seq+1, c.Blobs, c.Bytes, c.Other), "  " + note}}, nil
}

func runBundleGet(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	rev, err := number(args, "version")
	if err != nil {
		return Result{}, err
	}
	b, p, _, err := a.OpenBundle(ctx, args.Get("in"))
	if err != nil {
		return Result{}, err
	}
	defer b.Close()
	it, err := p.Item(args.Get("item"))
	if err != nil {
		return Result{}, err
	}
	out := args.Get("out")
	if err := seal.WriteFile(out, args.Has("force"), func(w io.Writer) error { return p.ReadVersion(ctx, it, rev, w, sink) }); err != nil {
		return Result{}, err
	}
	return Result{Data: app.Sealed{Out: out, Name: it.Name, Size: it.Size}, Text: []string{"wrote " + out}}, nil
}

package action

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/remote/api"
	"cipherdeck/remote/server"
	"cipherdeck/remote/store"
	"cipherdeck/ui/app"
)

func blobActions() []*Action {
	return []*Action{
		{ID: "project.collect", Title: "Delete what a project does not need any more", Vault: true,
			Help: "For an owner. Tells the server which blobs the project needs. What it does not name is marked; a later call deletes what has been marked for the server's grace (30 days by default) and is still not needed. The server keeps the chain and what jobs name in any case.",
			Args: []Arg{projectArg(), {Name: "dry-run", Flag: "dry-run", Switch: true, Help: "say what would be done, and do nothing"}},
			Can:  needsProject, Run: runCollect},
		{ID: "blobs.export", Title: "Write a project's blobs into an archive", Vault: true,
			Help: "A CAR file (version 1) of everything that the project needs, as the server has it: ciphertext, the signed chain, wrapped keys. IPFS tools read it (ipfs dag import); its root is the newest link. Put into a public network it cannot be taken back: its existence and size are then public.",
			Args: []Arg{projectArg(), {Name: "car", Flag: "car", Help: "file to write", Need: true}, {Name: "force", Flag: "force", Switch: true, Help: "replace the file if it exists"}},
			Can:  needsProject, Run: runBlobsExport},
		{ID: "account.ssh-key", Title: "Write an SSH key for the SFTP door of a server", Vault: true,
			Help: "For stock SFTP clients that carry blobs, ciphertext only, to or from /PROJECT/BLOB. The key is new and good for some hours: your device vouches for it in a certificate, and its own key stays in the vault. Writes FILE, FILE-cert.pub and FILE.known_hosts, and says the command to type.",
			Args: []Arg{{Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}, {Name: "hours", Flag: "hours", Default: "8", Help: "how long it is good, at most 168"}, serverFlag()},
			Can:  needsServer, Run: runSSHKey},
		{ID: "store.scrub", Title: "Read every blob that a server keeps and mend what can be",
			Help: "For the operator, on the server's machine; the server may run meanwhile. Reads every copy of every blob, names those that are damaged, and with a mirror puts the good copy in the place of the other. Exit code 6 when a blob has no good copy: whoever has it can upload it again.",
			Args: []Arg{{Name: "data", Flag: "data", Help: "folder of the server's state; overrides data_dir"}, {Name: "config", Flag: "config", Help: "the server's configuration, JSON"}},
			Run:  runScrub},
	}
}

func runCollect(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	r, err := a.Collect(ctx, p, args.Has("dry-run"), sink)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: r, Text: collectLines(r)}, nil
}

func collectLines(r api.CollectReply) []string {
	deleted, marked := "deleted", "marked"
	if r.Dry {
		deleted, marked = "would be deleted", "would be marked, or are"
	}
	return []string{
		fmt.Sprintf("%d blobs, %d bytes", r.Blobs, r.Bytes),
		fmt.Sprintf("  %s: %d, %d bytes", deleted, r.Deleted, r.DeletedBytes),
		fmt.Sprintf("  %s: %d, %d bytes; they go when they were not needed for %d hours", marked, r.Marked, r.MarkedBytes, r.GraceHours),
	}
}

func runBlobsExport(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	var r app.Archived
	err = seal.WriteFile(args.Get("car"), args.Has("force"), func(w io.Writer) (err error) {
		r, err = a.Archive(ctx, p, w, sink)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	r.Out = args.Get("car")
	return Result{Data: r, Text: []string{fmt.Sprintf("wrote %s: %d blobs, %d bytes", r.Out, r.Blobs, r.Bytes), "root " + r.Root.String()}}, nil
}

// scrubView is a scrub in JSON.
type scrubView struct {
	Blobs    int64         `json:"blobs"`
	Bytes    int64         `json:"bytes"`
	Mended   int           `json:"mended"`
	Findings []findingView `json:"findings"`
}

type findingView struct {
	Project id.ID  `json:"project"`
	Blob    id.ID  `json:"blob"`
	Mended  bool   `json:"mended"`
	Cause   string `json:"cause,omitempty"`
}

// mendedShown is how many mended blobs are listed: a new mirror lacks all of them.
const mendedShown = 10

func runScrub(ctx context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	c, err := loadConfig(args)
	if err != nil {
		return Result{}, err
	}
	v := scrubView{Findings: []findingView{}}
	var text, bad []string
	n, err := server.Scrub(ctx, c, func(f server.ScrubFinding) {
		view := findingView{Project: f.Project, Blob: f.ID, Mended: f.Mended}
		line := "  ✓ mended  " // also a copy that the mirror did not have yet
		if f.Err != nil {
			view.Cause, line = f.Err.Error(), "  ✗ damaged "
			bad = append(bad, f.ID.String())
		} else {
			v.Mended++
		}
		v.Findings = append(v.Findings, view)
		if f.Err != nil || v.Mended <= mendedShown {
			text = append(text, line+f.ID.String()+" of project "+f.Project.Short())
		}
	})
	if err != nil {
		return Result{}, err
	}
	if more := v.Mended - mendedShown; more > 0 {
		text = append(text, fmt.Sprintf("  ✓ and %d more that were mended or copied to where they were missing; --json names all", more))
	}
	v.Blobs, v.Bytes = n.Blobs, n.Bytes
	r := Result{Data: v, Text: append([]string{fmt.Sprintf("read %d blobs, %d bytes; mended %d", n.Blobs, n.Bytes, v.Mended)}, text...)}
	if len(bad) > 0 {
		return r, fmt.Errorf("%w: no good copy of %d blobs: %s", store.ErrCorrupt, len(bad), strings.Join(bad, " "))
	}
	return r, nil
}

func runSSHKey(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	life, err := time.ParseDuration(args.Get("hours") + "h")
	if err != nil || life <= 0 || life > 7*24*time.Hour {
		return Result{}, fmt.Errorf("%w: --hours %q is not a number of hours up to 168", app.ErrInput, args.Get("hours"))
	}
	k, err := a.MakeSSHKey(ctx, args.Get("server"), args.Get("out"), life)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: k, Text: []string{"wrote " + k.File + ", good until " + k.Until.Format(time.RFC3339), k.Command}}, nil
}

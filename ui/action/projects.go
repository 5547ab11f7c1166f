package action

import (
	"context"
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

func projectArg() Arg { return Arg{Name: "project", Help: "name or id of the project", Need: true} }

func projectActions() []*Action {
	uid := Arg{Name: "uid", Help: "the person's user id, or name if you have met one such", Need: true}
	return []*Action{
		{ID: "project.new", Title: "Start a project", Keys: []string{"n"}, Screen: "projects", Vault: true,
			Help: "The project's name, like everything in it, is encrypted here; the server sees sizes, times and who talks to whom.",
			Args: []Arg{{Name: "name", Help: "name of the project", Need: true}, serverFlag()},
			Can:  needsServer, Run: runProjectNew},
		{ID: "project.list", Title: "List your projects", Vault: true,
			Help: "Reads the vault only; no server is asked.",
			Run:  runProjectList},
		{ID: "project.show", Title: "Show a project's items, members and epoch", Vault: true,
			Help: "Fetches the project, verifies its chain of signed links from the first on, and refuses one that is older than what was seen here before.",
			Args: []Arg{projectArg(), {Name: "offline", Flag: "offline", Switch: true, Help: "as it was seen here last, with what waits to be sent"}}, Run: runProjectShow},
		{ID: "project.join", Title: "Open a project that was shared with you", Keys: []string{"i"}, Screen: "projects", Vault: true,
			Help: "Makes your account known to the server. Without an id, lists what others shared with you and opens nothing. Anybody can make a project and add you to it, so an owner must be verified (people add … --words) before you join: what you add to a stranger's project is his.",
			Args: []Arg{{Name: "id", Help: "id of the project; without it, a list"}, serverFlag(), {Name: "name", Flag: "name", Help: "your name for it; default: its own"}, {Name: "unverified", Flag: "unverified", Switch: true, Help: "join although no owner is verified"}},
			Can:  needsServer, Run: runProjectJoin},
		{ID: "project.repair", Title: "Put back the newest index of a project that opens", Danger: Confirm, Vault: true,
			Help: "For a project whose newest list of items does not open: a member wrote a bad one, or the server lost it. Remove the member first (revoke). What was added after the index that opens is lost.",
			Args: []Arg{projectArg()}, Run: runProjectRepair},
		{ID: "share", Title: "Share a project with a person", Keys: []string{"s"}, Screen: "projects", Vault: true,
			Help: "Wraps the project's key to the person's keys and signs the membership, in one link of the project's chain. The person must be verified (people add … --words), or say --unverified.",
			Args: []Arg{projectArg(), uid, {Name: "role", Flag: "role", Default: "reader", Help: "owner, admin, writer, reader or auditor"}, {Name: "unverified", Flag: "unverified", Switch: true, Help: "share without comparing words: the server could read along"}},
			Can:  needsProject, Run: runShare},
		{ID: "revoke", Title: "Remove a member and change the project's key", Keys: []string{"x"}, Screen: "projects", Danger: TypeName, Vault: true,
			Help: "The removal and the new epoch are one link: nothing written after it opens for the removed person. What he could read before he may have kept; the report says what that was.",
			Args: []Arg{projectArg(), uid},
			Can:  needsProject, Run: runRevoke},
		grantAction(),
	}
}

func needsServer(f app.Facts) (bool, string) { return f.Servers > 0, "no server is pinned yet" }

func needsProject(f app.Facts) (bool, string) { return f.Projects > 0, "there is no project yet" }

func runProjectNew(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	if err := chain.CheckName(args.Get("name")); err != nil {
		return Result{}, fmt.Errorf("%w: %w", app.ErrInput, err)
	}
	p, err := a.NewProject(ctx, args.Get("name"), args.Get("server"))
	if err != nil {
		return Result{}, err
	}
	return showProject(p), nil
}

func runProjectList(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.Projects()
	r := Result{Data: list(all)}
	for _, p := range all {
		r.Text = append(r.Text, fmt.Sprintf("%s  %s  on %s", p.Name, p.ID, p.Server))
	}
	return r, err
}

func runProjectShow(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := here(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	n, err := a.Unsent(p)
	if err != nil {
		return Result{}, err
	}
	r, err := showTrusted(a, p)
	return withUnsent(r, p, n), err
}

func runProjectJoin(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	server := args.Get("server")
	if err := a.Enrol(ctx, server); err != nil {
		return Result{}, err
	}
	if s := args.Get("id"); s != "" {
		i, err := id.Parse(s)
		if err != nil {
			return Result{}, fmt.Errorf("%w: %w", app.ErrInput, err)
		}
		p, err := a.Join(ctx, server, i, args.Get("name"), args.Has("unverified"))
		if err != nil {
			return Result{}, err
		}
		return showTrusted(a, p)
	}
	ids, err := a.Invitations(ctx, server)
	if err != nil {
		return Result{}, err
	}
	if ids == nil {
		ids = []id.ID{}
	}
	r := Result{Data: ids, Text: []string{fmt.Sprintf("%d new project(s) name you as a member; open one with: project join ID", len(ids))}}
	for _, i := range ids {
		r.Text = append(r.Text, "  "+i.String())
	}
	return r, nil
}

func runProjectRepair(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	seq, err := a.Repair(ctx, p)
	if err != nil {
		return Result{}, err
	}
	r := showProject(p)
	r.Text = append([]string{fmt.Sprintf("the index of link %d is back; what was added after it is lost", seq)}, r.Text...)
	return r, nil
}

func runShare(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	role := chain.ParseRole(args.Get("role"))
	if role == chain.Nobody {
		return Result{}, fmt.Errorf("%w: role %q: want owner, admin, writer, reader or auditor", app.ErrInput, args.Get("role"))
	}
	p, uid, err := projectAndUID(ctx, a, args, "uid")
	if err != nil {
		return Result{}, err
	}
	if err := a.Share(ctx, p, uid, role, args.Has("unverified")); err != nil {
		return Result{}, err
	}
	return showTrusted(a, p)
}

func runRevoke(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	uid, err := a.Whose(args.Get("uid"))
	if err != nil {
		return Result{}, err
	}
	p, err := a.ProjectUnheard(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	rep, err := a.Revoke(ctx, p, uid)
	if err != nil {
		return Result{}, err
	}
	v := viewReport(rep)
	for _, u := range p.Exposure() {
		v.Epochs = append(v.Epochs, viewEpoch(p, u))
	}
	return Result{Data: v, Text: append(RevokeLines(rep), showEpochs(p).Text...)}, nil
}

// RevokeLines is the honest report of a removal, for a person.
func RevokeLines(r project.Report) []string {
	return []string{
		fmt.Sprintf("%s (%s) is not a member any more; the project is in epoch %d", r.Name, r.Role, r.NewEpoch),
		fmt.Sprintf("  ! could read before and may have kept: %s, %s, %d bytes", count(r.Items, "item"), count(r.Versions, "version"), r.Bytes),
		"  ✓ cannot open anything that is written from now on",
		"  ? what is there already is still under old keys; a server that gives it to him lets him read it: project reencrypt",
	}
}

func projectAndUID(ctx context.Context, a *app.App, args Args, name string) (*project.Project, chain.UID, error) {
	uid, err := a.Whose(args.Get(name))
	if err != nil {
		return nil, uid, err
	}
	p, err := a.Project(ctx, args.Get("project"))
	return p, uid, err
}

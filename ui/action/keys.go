package action

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	"cipherdeck/ui/app"
)

func keyActions() []*Action {
	server := Arg{Name: "server", Flag: "server", Default: "main", Help: "name of the pinned server"}
	key := Arg{Name: "key", Help: "name or id of the key, as key list shows them", Need: true}
	out := []Arg{{Name: "out", Flag: "output", Short: "o", Help: "new file for the secret, readable by you only"}, {Name: "out-fd", Flag: "out-fd", Help: "descriptor for the secret, instead of a file"}}
	named := Arg{Name: "server", Help: "name of the pinned server", Default: "main"}
	return []*Action{
		{ID: "key.new", Title: "Make an API key for a script", Vault: true, Run: runKeyNew,
			Help: "A script that has no vault shows the key instead of a login. It can do what its scopes say and never more than you may at that moment: fetch ciphertext, see heads and jobs; it signs nothing, shares nothing, makes no keys. Whoever has the secret has the key: it is bound to no machine, except by --from. The secret is written once, to --output or --out-fd. Scopes: " + strings.Join(auth.Scopes(), ", ") + "; each may end in @PROJECT.",
			Args: append([]Arg{{Name: "name", Help: "what it is for", Need: true}, {Name: "scope", Flag: "scope", Many: true, Need: true, Help: "OP or OP@PROJECT"},
				{Name: "days", Flag: "days", Default: "30", Help: "how long it is good, at most 90"}, {Name: "from", Flag: "from", Many: true, Help: "network it may come from, as 192.0.2.0/24"}, server}, out...)},
		{ID: "key.list", Title: "List the API keys of your account", Vault: true, Run: runKeyList, Args: []Arg{server},
			Help: "What each may do, until when, and when it was used last, to a minute."},
		{ID: "key.rotate", Title: "Give an API key a new secret", Vault: true, Run: runKeyRotate,
			Help: "The secret before stays good for --overlap, at most a week, so that scripts can be given the new one.",
			Args: append([]Arg{key, {Name: "overlap", Flag: "overlap", Default: "1h", Help: "for how long both are good"}, server}, out...)},
		{ID: "key.revoke", Title: "End an API key at once", Vault: true, Danger: Confirm, Args: []Arg{key, server},
			Help: "Its next request is refused.",
			Run: func(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
				key, err := a.RevokeKey(ctx, args.Get("server"), args.Get("key"))
				if err != nil {
					return Result{}, err
				}
				return Result{Data: map[string]string{"revoked": key}, Text: []string{"revoked " + key}}, nil
			}},
		{ID: "server.sessions", Title: "List or end your logins on a server", Vault: true, Run: runSessions,
			Help: "A login is good on one connection and for a quarter of an hour. --revoke ends them at once, those of one device with --device ID; API keys stay: see key revoke.",
			Args: []Arg{named, {Name: "revoke", Flag: "revoke", Switch: true, Help: "end them"}, {Name: "device", Flag: "device", Help: "id of the device key"}}},
		{ID: "server.logout", Title: "End the logins of this device on a server", Vault: true, Args: []Arg{named},
			Help: "Also those that other commands and the workstation hold; they log in again when they need to.",
			Run: func(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
				return revoked(a.RevokeSessions(ctx, args.Get("server"), "this"))
			}},
	}
}

// keyOut is where --output or --out-fd say that the secret goes.
func keyOut(args Args) (app.KeyOut, error) {
	fd, file := args.Get("out-fd"), args.Get("out")
	if (fd == "") == (file == "") {
		return app.KeyOut{}, fmt.Errorf("%w: say where the secret goes: --output FILE or --out-fd N", app.ErrInput)
	}
	if file != "" {
		return app.KeyOut{File: file}, nil
	}
	n, err := strconv.Atoi(fd)
	if err != nil || n < 3 {
		return app.KeyOut{}, fmt.Errorf("%w: --out-fd %q: want a descriptor from 3", app.ErrInput, fd)
	}
	return app.KeyOut{To: os.NewFile(uintptr(n), "fd "+fd)}, nil
}

func runKeyNew(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	days, err := strconv.Atoi(args.Get("days"))
	if err != nil || days < 1 || days > int(auth.MaxKeyLife/(24*time.Hour)) {
		return Result{}, fmt.Errorf("%w: --days %q: want 1 to 90", app.ErrInput, args.Get("days"))
	}
	out, err := keyOut(args)
	if err != nil {
		return Result{}, err
	}
	k, err := a.NewKey(ctx, args.Get("server"), app.KeySpec{Name: args.Get("name"), Scopes: args.All("scope"), Networks: args.All("from"), Life: time.Duration(days) * 24 * time.Hour}, out)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: k, Text: append(keyLines(k), "  the secret was written once; whoever has it has the key")}, nil
}

func keyLines(k api.KeyInfo) []string {
	used := "never used"
	if k.LastUsed > 0 {
		used = "last used " + when(k.LastUsed)
	}
	out := []string{fmt.Sprintf("%s  %s", k.ID, k.Name), "  may   " + strings.Join(k.Scopes, " "), "  until " + when(k.NotAfter) + ", " + used}
	if len(k.Networks) > 0 {
		out = append(out, "  from  "+strings.Join(k.Networks, " "))
	}
	if k.OldUntil > 0 {
		out = append(out, "  the secret before is good until "+when(k.OldUntil))
	}
	return out
}

func when(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func runKeyList(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	all, err := a.Keys(ctx, args.Get("server"))
	r := Result{Data: list(all)}
	for _, k := range all {
		r.Text = append(r.Text, keyLines(k)...)
	}
	return r, err
}

func runKeyRotate(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	overlap, err := time.ParseDuration(args.Get("overlap"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: --overlap %q: want a duration such as 1h", app.ErrInput, args.Get("overlap"))
	}
	out, err := keyOut(args)
	if err != nil {
		return Result{}, err
	}
	k, err := a.RotateKey(ctx, args.Get("server"), args.Get("key"), overlap, out)
	if k.ID == "" {
		return Result{}, err
	}
	return Result{Data: k, Text: keyLines(k)}, err
}

func runSessions(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	if args.Has("revoke") {
		return revoked(a.RevokeSessions(ctx, args.Get("server"), args.Get("device")))
	}
	all, err := a.Sessions(ctx, args.Get("server"))
	r := Result{Data: list(all)}
	for _, l := range all {
		line := fmt.Sprintf("%s  device %s  since %s until %s", l.ID, l.Device, when(l.Created), when(l.NotAfter))
		if l.Current {
			line += "  (this one)"
		}
		r.Text = append(r.Text, line)
	}
	return r, err
}

func revoked(n int, err error) (Result, error) {
	return Result{Data: map[string]int{"revoked": n}, Text: []string{fmt.Sprintf("%d login(s) ended", n)}}, err
}

func fetchActions() []*Action {
	from := []Arg{{Name: "code", Flag: "code", Need: true, Help: "the server's pairing code"}, {Name: "api-key-file", Flag: "api-key-file", Need: true, Help: "file of an API key, readable by you only"}}
	pid := Arg{Name: "project", Help: "id of the project", Need: true}
	with := func(more ...Arg) []Arg { return append(more, from...) }
	return []*Action{
		{ID: "fetch.projects", Title: "List projects with an API key", Args: from, Run: fetching(fetchProjects),
			Help: "For scripts without a vault. Nothing that comes is verified against a chain: that needs the vault."},
		{ID: "fetch.head", Title: "Fetch the head of a project with an API key", Args: with(pid, Arg{Name: "out", Flag: "output", Short: "o", Need: true, Help: "file to write"}), Run: fetching(fetchHead),
			Help: "The newest signed link, as it was signed."},
		{ID: "fetch.blob", Title: "Fetch ciphertext with an API key", Args: with(pid, Arg{Name: "blob", Help: "id of the blob", Need: true}, Arg{Name: "out", Flag: "output", Short: "o", Need: true, Help: "file to write"}), Run: fetching(fetchBlob),
			Help: "Its hash is checked; a damaged blob is not written."},
		{ID: "fetch.jobs", Title: "List the jobs of a project with an API key", Args: with(pid), Run: fetching(fetchJobs),
			Help: "State, attempts and progress; results stay sealed to who asked for them."},
	}
}

// fetching is an action of a script: a client with an API key, and no vault.
func fetching(do func(context.Context, *api.Client, Args) (Result, error)) func(context.Context, *app.App, Args, progress.Sink) (Result, error) {
	return func(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
		code, err := api.ParseCode(args.Get("code"))
		if err != nil {
			return Result{}, err
		}
		c, err := app.Script(code, args.Get("api-key-file"), a.Now)
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		return do(ctx, c, args)
	}
}

func fetchProjects(ctx context.Context, c *api.Client, _ Args) (Result, error) {
	all, err := c.Projects(ctx)
	r := Result{Data: list(all)}
	for _, p := range all {
		r.Text = append(r.Text, p.String())
	}
	return r, err
}

func fetchHead(ctx context.Context, c *api.Client, args Args) (Result, error) {
	pid, err := id.Parse(args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	raw, rev, err := c.Project(pid).Head(ctx, api.HeadKey)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]any{"id": id.Of(raw), "rev": rev, "size": len(raw)}, Text: []string{id.Of(raw).String()}}, os.WriteFile(args.Get("out"), raw, 0o600)
}

func fetchBlob(ctx context.Context, c *api.Client, args Args) (Result, error) {
	pid, err := id.Parse(args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	i, err := id.Parse(args.Get("blob"))
	if err != nil {
		return Result{}, err
	}
	r, err := c.Project(pid).GetBlob(ctx, i, 0, -1)
	if err != nil {
		return Result{}, err
	}
	defer r.Close()
	return Result{Data: map[string]any{"id": i}, Text: []string{"wrote " + args.Get("out")}},
		seal.WriteFile(args.Get("out"), false, func(w io.Writer) error {
			_, err := io.Copy(w, r)
			return err
		})
}

func fetchJobs(ctx context.Context, c *api.Client, args Args) (Result, error) {
	pid, err := id.Parse(args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	all, err := c.Project(pid).Jobs(ctx)
	r := Result{Data: list(all)}
	for _, j := range all {
		r.Text = append(r.Text, fmt.Sprintf("%s  %s  attempt %d  %s", j.ID, j.State, j.Attempt, j.Reason))
	}
	return r, err
}

package action

import (
	"context"
	"errors"
	"fmt"

	"cipherdeck/crypto/progress"
	"cipherdeck/remote/api"
	"cipherdeck/remote/server"
	"cipherdeck/ui/app"
	"cipherdeck/vault"
)

func backupActions() []*Action {
	config := Arg{Name: "config", Flag: "config", Help: "JSON file of serve"}
	data := Arg{Name: "data", Flag: "data", Help: "folder of the server's state; overrides data_dir"}
	plain := Arg{Name: "plain", Flag: "plain", Switch: true, Help: "not sealed: whoever reads the file has the server's key"}
	pass := Arg{Name: "passphrase", Flag: "passphrase", Switch: true, Help: "by a passphrase instead of the vault's identity"}
	file := Arg{Name: "file", Help: "the backup", Need: true}
	code := Arg{Name: "code", Flag: "code", Help: "pairing code of the server that it must be of"}
	key := Arg{Name: "key", Flag: "key", Help: "file with an RSA private key in PEM, for what was sealed --to-key"}
	return []*Action{
		{ID: "backup", Title: "Back a server up, running or stopped",
			Help: "One file with everything the server keeps, its TLS key too, sealed for you and --to, or for --to-key alone (no vault needed), or under a passphrase. A running server is asked by the control socket in its data folder; nothing stops. The file appears under its name only when it is whole. Exit code 6 when the store has damaged blobs, which are named and left out. Try every backup: backup verify.",
			Args: append([]Arg{config, data, {Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}, plain, pass, {Name: "to", Flag: "to", Many: true, Help: "user id of a person who may open it too"},
				{Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}}, audienceArgs()[:2]...), Run: runBackup},
		{ID: "backup.verify", Title: "Prove that a backup restores", Args: []Arg{file, plain, pass, key, code},
			Help: "Restores it into a folder that is removed again, verifies every blob by its hash and every project link by link from its genesis, starts a server there on loopback and logs in.",
			Run: func(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
				spec, pin, err := fromBackup(ctx, a, args)
				if err != nil {
					return Result{}, err
				}
				out, err := a.VerifyBackup(ctx, spec, pin)
				return restored("it restores, starts and lets in", out, err)
			}},
		{ID: "restore", Title: "Restore a server from a backup", Danger: Confirm,
			Args: []Arg{file, {Name: "data", Flag: "data", Help: "folder to make; must be missing or empty", Need: true}, plain, pass, key, code},
			Help: "Everything is written and verified beside the folder, which gets its name only when all is right: a wrong passphrase, another server, a newer format or a missing blob changes nothing. Clients find the same key, projects and jobs; what was accepted after the backup was made is gone, and clients that saw it will say so.",
			Run: func(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
				spec, pin, err := fromBackup(ctx, a, args)
				if err != nil {
					return Result{}, err
				}
				out, err := a.RestoreBackup(ctx, spec, args.Get("data"), pin)
				return restored("restored to "+args.Get("data"), out, err)
			}},
		{ID: "migrate", Title: "Bring a server's data folder to this program's format",
			Args: []Arg{config, data, {Name: "dry-run", Flag: "dry-run", Switch: true, Help: "verify everything and say what would be done"}},
			Help: "serve does not start on a folder of an older format. The server must be stopped. The folder as it was is kept first, as FOLDER.before-format-N.tar, which holds the server's key; restore --plain brings it back for the older program.",
			Run:  runMigrate},
	}
}

func runBackup(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	c, err := loadConfig(args)
	if err != nil {
		return Result{}, err
	}
	spec := app.BackupSpec{File: args.Get("out"), Plain: args.Has("plain"), Force: args.Has("force")}
	if spec.For, err = audience(args, "to"); err != nil {
		return Result{}, err
	}
	if err := unlockFor(ctx, a, args, &spec, "Passphrase of the backup", true); err != nil {
		return Result{}, err
	}
	rep, err := a.Backup(ctx, c, spec, sink)
	return Result{Data: rep, Text: []string{fmt.Sprintf("%s: %s, %s, %d bytes of blobs", spec.File, count(rep.Docs, "document"), count(rep.Blobs, "blob"), rep.Bytes)}}, err
}

// unlockFor asks for what the backup needs to be sealed or opened.
func unlockFor(ctx context.Context, a *app.App, args Args, spec *app.BackupSpec, prompt string, fresh bool) (err error) {
	switch {
	case spec.Plain && (args.Has("passphrase") || args.Has("to") || args.Has("to-key")):
		return fmt.Errorf("%w: --plain seals for nobody: leave out --passphrase, --to and --to-key", app.ErrInput)
	case spec.Plain, spec.KeyFile != "":
	case args.Has("passphrase"):
		spec.Passphrase, err = a.Ask(ctx, prompt, fresh)
	case args.Has("to-key") && !args.Has("to"):
	default:
		if _, err = a.UnlockAsking(ctx); errors.Is(err, vault.ErrNotFound) {
			err = fmt.Errorf("%w: %v; without one say --passphrase, or a key: --to-key to seal, --key to open", app.ErrInput, err)
		}
	}
	return err
}

func fromBackup(ctx context.Context, a *app.App, args Args) (app.BackupSpec, *[32]byte, error) {
	spec := app.BackupSpec{File: args.Get("file"), Plain: args.Has("plain"), KeyFile: args.Get("key")}
	var pin *[32]byte
	if text := args.Get("code"); text != "" {
		c, err := api.ParseCode(text)
		if err != nil {
			return spec, nil, err
		}
		pin = &c.Pin
	}
	return spec, pin, unlockFor(ctx, a, args, &spec, "Passphrase of the backup", false)
}

func restored(what string, out server.Restored, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: out, Text: []string{what, "  made     " + when(out.Made) + ", format " + fmt.Sprint(out.Format),
		fmt.Sprintf("  verified %s, %s with %d links, %s, %s", count(out.Accounts, "account"), count(out.Projects, "project"), out.Links, count(out.Jobs, "job"), count(out.Blobs, "blob"))}}
	if n := len(out.Damaged); n > 0 {
		r.Text = append(r.Text, fmt.Sprintf("! %s were damaged when it was made and are not in it: %s", count(n, "blob"), out.Damaged[0]))
	}
	if out.Format < server.Format {
		r.Text = append(r.Text, "! it is of an older format, and was not served: migrate it after restoring")
	}
	return r, nil
}

func runMigrate(ctx context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	c, err := loadConfig(args)
	if err != nil {
		return Result{}, err
	}
	m, kept, err := app.Migrate(ctx, c, args.Has("dry-run"))
	if err != nil {
		return Result{}, err
	}
	data := struct {
		server.Migrated
		Kept   string `json:"kept,omitempty"`
		DryRun bool   `json:"dry_run"`
	}{m, kept, args.Has("dry-run")}
	r := Result{Data: data, Text: []string{fmt.Sprintf("format %d, this program's is %d", m.From, m.To)}}
	r.Text = append(r.Text, m.Steps...)
	switch {
	case m.From == m.To:
		r.Text = append(r.Text, "nothing to do")
	case args.Has("dry-run"):
		r.Text = append(r.Text, fmt.Sprintf("everything verified, %s; nothing was changed", count(m.Projects, "project")))
	default:
		r.Text = append(r.Text, "done; as it was: "+kept)
	}
	return r, nil
}

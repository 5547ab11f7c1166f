// Package cli is the command line. It has no commands of its own: it parses,
// runs and prints the actions of the registry.
//
// Every command takes --json and then prints one object, also for an error:
//
//	{"v":1,"ok":true,"data":{…}}
//	{"v":1,"ok":false,"error":{"code":"…","field":"…","cause":"…","cure":"…"}}
//
// Progress and questions go to the terminal or standard error, results to
// standard output, so that results can be piped.
package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf16"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/plain"
	"cipherdeck/vault/pkcs11"
)

// Env is what the command line runs in.
type Env struct {
	Stdout, Stderr io.Writer
	Passphrase     []byte // what main took from the environment
	Actions        []*action.Action
	Now            func() time.Time
}

// envelope is the JSON form of every answer.
type envelope struct {
	V     int        `json:"v"`
	OK    bool       `json:"ok"`
	Data  any        `json:"data,omitempty"`
	Error *app.Fault `json:"error,omitempty"`
}

// Main runs one command and returns the exit code.
func Main(ctx context.Context, env Env, words []string) int {
	asJSON := wantsJSON(words)
	res, err := run(ctx, env, words, asJSON)
	if err != nil {
		return env.fail(err, res, asJSON)
	}
	if err := env.show(ctx, res, asJSON); err != nil {
		return env.fail(err, action.Result{}, false)
	}
	return app.ExitOK
}

// show prints what came out. That it did counts: a new recovery code is nowhere
// else.
func (env Env) show(ctx context.Context, res action.Result, asJSON bool) error {
	if asJSON {
		return env.print(envelope{V: 1, OK: true, Data: res.Data})
	}
	if shown, err := env.brief(ctx, res); shown || err != nil {
		return err
	}
	for _, l := range res.Text {
		if _, err := fmt.Fprintln(env.Stdout, plain.Text(l)); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, env Env, words []string, asJSON bool) (action.Result, error) {
	if len(words) == 0 || words[0] == "help" || words[0] == "--help" || words[0] == "-h" {
		return help(env.Actions, topic(words[min(1, len(words)):]))
	}
	words = globalsLast(words)
	if words[0] == "help" {
		return help(env.Actions, topic(words[1:]))
	}
	if words[0] == "--version" {
		words = []string{"version"}
	}
	a, rest := find(env.Actions, words)
	if a == nil {
		return action.Result{}, fmt.Errorf("%w: %s", ErrUsage, noCommand(env.Actions, words))
	}
	args, err := parse(a, rest)
	if err != nil {
		return action.Result{}, fmt.Errorf("%w\n  cipherdeck %s", err, a.Usage())
	}
	if args.Has("help") {
		return explain(a), nil
	}
	return env.perform(ctx, a, args, asJSON)
}

func (env Env) perform(ctx context.Context, a *action.Action, args action.Args, asJSON bool) (action.Result, error) {
	home := args.Get("home")
	if home == "" {
		var err error
		if home, err = app.DefaultHome(); err != nil {
			return action.Result{}, err
		}
	}
	cfg, err := env.config(a, args, home)
	if err != nil {
		return action.Result{}, err
	}
	ap := app.New(cfg)
	defer ap.Close()
	var sink progress.Sink = progress.Discard{}
	switch {
	case a.Daemon:
		sink = noteSink{Sink: sink, w: env.Stdout, json: asJSON}
	case !asJSON && !args.Has("quiet"):
		sink = newLineSink(env.Stderr, env.Stdout, env.Now)
	}
	if a.Vault {
		if _, err := ap.UnlockAsking(ctx); err != nil {
			return action.Result{}, err
		}
	}
	return a.Run(ctx, ap, args, sink)
}

// config is what the flags say of how to open the vault.
func (env Env) config(a *action.Action, args action.Args, home string) (app.Config, error) {
	sec := &secrets{fd: args.Get("passphrase-fd"), newFD: args.Get("new-fd"), pinFD: args.Get("pin-fd"), codeFD: args.Get("code-fd"), env: env.Passphrase}
	cfg := app.Config{Home: home, StateDir: app.DefaultState(), Now: env.Now, Ask: sec.get, AskNew: sec.fresh, AskPIN: sec.pin, AskCode: sec.code, AskText: askText,
		Way: app.Way(args.Get("by")), Devices: app.Devices{TPM: args.Get("tpm"), Identity: args.Get("identity"),
			PKCS11: pkcs11.Options{Module: args.Get("module"), Token: args.Get("token"), Key: args.Get("token-key")}},
		NoKeyring: args.Has("no-keyring"), NoKernel: args.Has("no-agent"), Agent: a.Command(),
		Notice: func(text string) { fmt.Fprintf(env.Stderr, "cipherdeck: %s\n", plain.Text(text)) }}
	if sec.given() { // what was handed over is what is tried
		cfg.NoKeyring, cfg.NoKernel = true, true
	}
	if sec.given() || args.Has("no-agent") {
		cfg.Agent = ""
	}
	cfg.EnvPass = len(env.Passphrase) > 0
	if a.Daemon {
		cfg.AskYes = terminalYes()
	}
	err := sec.apart()
	if err != nil {
		return cfg, err
	}
	if cfg.Unlock, err = app.UnlockTime(args.Get("unlock-time")); err != nil {
		return cfg, err
	}
	return cfg, nil
}

// fail prints the error, and what there is of a result: a refused attestation
// still has a chain to show.
func (env Env) fail(err error, res action.Result, asJSON bool) int {
	f := app.Explain(err)
	if f.OfChild() {
		return f.Exit
	}
	if asJSON {
		if err := env.print(envelope{V: 1, Data: res.Data, Error: &f}); err != nil {
			fmt.Fprintf(env.Stderr, "cipherdeck: %v\n", err)
		}
		return f.Exit
	}
	for _, l := range res.Text {
		fmt.Fprintln(env.Stdout, plain.Text(l))
	}
	fmt.Fprintf(env.Stderr, "cipherdeck: %s\n", plain.Lines(f.Cause))
	if f.Cure != "" {
		fmt.Fprintf(env.Stderr, "cipherdeck: hint: %s\n", plain.Text(f.Cure))
	}
	return f.Exit
}

func (env Env) print(v envelope) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	if err == nil {
		_, err = env.Stdout.Write(visible(b.Bytes()))
	}
	return err
}

// visible writes characters that are not plainly visible as \u escapes. JSON
// itself does so for C0 only, and an answer may be shown on a terminal.
func visible(encoded []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(encoded) {
		if r == '\n' || plain.Text(string(r)) == string(r) {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
	}
	return b.Bytes()
}

// wantsJSON looks for --json before anything is parsed, so that even a
// misspelt command answers in JSON.
func wantsJSON(words []string) bool {
	for _, w := range words {
		if w == "--" {
			return false
		}
		if w == "--json" {
			return true
		}
	}
	return false
}

// Command cipherdeck computes on data nobody else can read, and proves it, from
// a terminal. See README.md; this file only picks a face.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	_ "cipherdeck/ui/quiet"

	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/cli"
	"cipherdeck/ui/face"
	"cipherdeck/ui/plain"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(words []string) int {
	// The passphrase must not be inherited by any process that is started here.
	pass := []byte(os.Getenv(cli.PassphraseVar))
	os.Unsetenv(cli.PassphraseVar)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	list := action.All()
	if term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())) {
		if code, drawn := workstation(ctx, list, words); drawn {
			return code
		}
	}
	return cli.Main(ctx, cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Passphrase: pass, Actions: list, Now: time.Now}, words)
}

// workstation draws the screens if words ask for them: none at all, or the demo
// without --plain and --json.
func workstation(ctx context.Context, list []*action.Action, words []string) (code int, drawn bool) {
	if len(words) == 0 {
		home, err := app.DefaultHome()
		if err == nil {
			err = face.Workstation(ctx, home)
		}
		return report(err), true
	}
	a, args := cli.Parse(list, words)
	if a == nil || a.ID != "demo" || args.Has("plain") || args.Has("json") {
		return 0, false
	}
	o, err := action.DemoOptions(args)
	if err == nil {
		err = face.Demo(ctx, o, os.Stdout)
	}
	return report(err), true
}

func report(err error) int {
	if err == nil {
		return app.ExitOK
	}
	f := app.Explain(err)
	fmt.Fprintf(os.Stderr, "cipherdeck: %s\n", plain.Lines(f.Cause))
	return f.Exit
}

// Command cipherdeck computes on data nobody else can read, and proves it, from
// a terminal. See README.md; this file only picks a face.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "cipherdeck/ui/quiet"

	"cipherdeck/ui/action"
	"cipherdeck/ui/cli"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(words []string) int {
	// The passphrase must not be inherited by any process that is started here.
	pass := []byte(os.Getenv(cli.PassphraseVar))
	os.Unsetenv(cli.PassphraseVar)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return cli.Main(ctx, cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Passphrase: pass, Actions: action.All(), Now: time.Now}, words)
}

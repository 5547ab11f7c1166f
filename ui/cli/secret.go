package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"

	"cipherdeck/ui/app"
)

// PassphraseVar is the one environment variable that may hold a secret. main
// takes it out of the environment at start, so that no child inherits it.
const PassphraseVar = "CIPHERDECK_PASSPHRASE"

// ErrNoPassphrase is wrapped when a passphrase is needed and none can be had.
var ErrNoPassphrase = app.ErrNoPassphrase

// maxPassphrase bounds what is read from a descriptor, in bytes.
const maxPassphrase = 4096

// secrets gets passphrases: from a descriptor, from the variable that main
// took, or by asking on the terminal.
type secrets struct {
	fd    string // of --passphrase-fd, "" when not given
	newFD string // of --new-fd
	env   []byte
	read  []byte // what the descriptor gave, so that it is read once
}

// get returns a passphrase; twice asks the person to type it again.
func (s *secrets) get(_ context.Context, prompt string, twice bool) ([]byte, error) {
	switch {
	case s.read != nil:
		return bytes.Clone(s.read), nil
	case s.fd != "":
		return s.fromDescriptor()
	case len(s.env) > 0:
		return bytes.Clone(s.env), nil
	}
	return ask(prompt, twice)
}

func (s *secrets) fromDescriptor() ([]byte, error) {
	n, err := strconv.ParseUint(s.fd, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%w: --passphrase-fd wants a number, got %q", ErrUsage, s.fd)
	}
	f := os.NewFile(uintptr(n), "passphrase")
	if f == nil {
		return nil, fmt.Errorf("%w: descriptor %d is not open", ErrNoPassphrase, n)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase))
	if err != nil {
		return nil, fmt.Errorf("%w: descriptor %d: %v", ErrNoPassphrase, n, err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	s.read = bytes.TrimSuffix(line, []byte("\r"))
	if len(s.read) == 0 {
		return nil, fmt.Errorf("%w: descriptor %d gave an empty line", ErrNoPassphrase, n)
	}
	return bytes.Clone(s.read), nil
}

// fresh gets a new secret, which the one that opens the vault must not be taken
// for: from its own descriptor, or by asking.
func (s *secrets) fresh(ctx context.Context, prompt string, twice bool) ([]byte, error) {
	if s.newFD == "" {
		return ask(prompt, twice)
	}
	return (&secrets{fd: s.newFD}).get(ctx, prompt, twice)
}

// ask reads from the terminal itself, so that it works with standard input
// and output redirected.
func ask(prompt string, twice bool) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no terminal to ask on; use --passphrase-fd or %s", ErrNoPassphrase, PassphraseVar)
	}
	defer tty.Close()
	pw, err := askOnce(tty, prompt)
	if err != nil || !twice {
		return pw, err
	}
	again, err := askOnce(tty, prompt+" again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pw, again) {
		return nil, fmt.Errorf("%w: the two are not the same", ErrNoPassphrase)
	}
	return pw, nil
}

func askOnce(tty *os.File, prompt string) ([]byte, error) {
	fmt.Fprintf(tty, "%s: ", prompt)
	defer fmt.Fprintln(tty)
	b, err := term.ReadPassword(int(tty.Fd()))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoPassphrase, err)
	}
	return b, nil
}

// given reports whether a passphrase was handed over, so that nothing else
// needs to be tried.
func (s *secrets) given() bool { return s.fd != "" || len(s.env) > 0 }

package cli

import (
	"bufio"
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
	fd     string // of --passphrase-fd, "" when not given
	newFD  string // of --new-fd
	pinFD  string // of --pin-fd
	codeFD string // of --code-fd
	env    []byte
	read   []byte   // what the descriptor gave, so that it is read once
	pins   [][]byte // lines of pinFD that are left
	codes  [][]byte // and of codeFD
}

// source is where one kind of secret comes from when it is not typed.
type source struct{ flag, fd string }

// apart refuses one descriptor for two kinds of secret: it can be read once.
func (s *secrets) apart() error {
	seen := map[string]string{}
	for _, x := range []source{{"--passphrase-fd", s.fd}, {"--new-fd", s.newFD}, {"--pin-fd", s.pinFD}, {"--code-fd", s.codeFD}} {
		if x.fd != "" && seen[x.fd] != "" {
			return fmt.Errorf("%w: %s and %s are both descriptor %s; give each its own", ErrUsage, seen[x.fd], x.flag, x.fd)
		}
		seen[x.fd] = x.flag
	}
	return nil
}

// get returns a passphrase; twice asks the person to type it again.
func (s *secrets) get(ctx context.Context, prompt string, twice bool) ([]byte, error) {
	switch {
	case s.read != nil:
		return bytes.Clone(s.read), nil
	case s.fd != "":
		lines, err := source{"--passphrase-fd", s.fd}.lines()
		if err != nil {
			return nil, err
		}
		s.read = lines[0]
		return bytes.Clone(s.read), nil
	case len(s.env) > 0:
		return bytes.Clone(s.env), nil
	}
	return ask(ctx, prompt, twice, "--passphrase-fd or "+PassphraseVar)
}

// lines reads the descriptor to its end: at least one line, the first not empty.
func (s source) lines() ([][]byte, error) {
	n, err := strconv.ParseUint(s.fd, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%w: %s wants a number, got %q", ErrUsage, s.flag, s.fd)
	}
	f := os.NewFile(uintptr(n), "secret")
	if f == nil {
		return nil, fmt.Errorf("%w: descriptor %d is not open", ErrNoPassphrase, n)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return nil, fmt.Errorf("%w: descriptor %d: %v", ErrNoPassphrase, n, err)
	}
	if len(b) > maxPassphrase {
		return nil, fmt.Errorf("%w: descriptor %d gave more than %d bytes", ErrNoPassphrase, n, maxPassphrase)
	}
	var out [][]byte
	for line := range bytes.Lines(b) {
		out = append(out, bytes.TrimRight(line, "\r\n"))
	}
	if len(out) == 0 || len(out[0]) == 0 {
		return nil, fmt.Errorf("%w: descriptor %d gave an empty line", ErrNoPassphrase, n)
	}
	return out, nil
}

// fresh gets a new secret, which the one that opens the vault must not be taken
// for: from its own descriptor, or by asking.
func (s *secrets) fresh(ctx context.Context, prompt string, twice bool) ([]byte, error) {
	if s.newFD == "" {
		return ask(ctx, prompt, twice, "--new-fd")
	}
	return (&secrets{fd: s.newFD}).get(ctx, prompt, twice)
}

// pin gets the PIN of a device. A passphrase that was handed over is never tried
// as one: devices count wrong PINs.
func (s *secrets) pin(ctx context.Context, prompt string, twice bool) ([]byte, error) {
	if s.pinFD == "" {
		return ask(ctx, prompt, twice, "--pin-fd")
	}
	if s.pins == nil {
		var err error
		if s.pins, err = (source{"--pin-fd", s.pinFD}).lines(); err != nil {
			return nil, err
		}
	}
	pin := bytes.Clone(s.pins[0])
	if len(s.pins) > 1 { // the last one is for all questions that follow
		s.pins = s.pins[1:]
	}
	return pin, nil
}

// code gets the next line of what is on paper.
func (s *secrets) code(ctx context.Context, prompt string, twice bool) ([]byte, error) {
	if s.codeFD == "" {
		return ask(ctx, prompt, twice, "--code-fd")
	}
	if s.codes == nil {
		var err error
		if s.codes, err = (source{"--code-fd", s.codeFD}).lines(); err != nil {
			return nil, err
		}
	}
	if len(s.codes) == 0 {
		return nil, fmt.Errorf("%w: %s: descriptor %s has no more lines", ErrNoPassphrase, prompt, s.codeFD)
	}
	next := s.codes[0]
	s.codes = s.codes[1:]
	return next, nil
}

// asksAgain is how often a secret that is typed twice is asked for.
const asksAgain = 3

// ask reads from the terminal itself, so that it works with standard input
// and output redirected. instead is what to use where there is none.
func ask(ctx context.Context, prompt string, twice bool, instead string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no terminal to ask on; use %s", ErrNoPassphrase, instead)
	}
	defer tty.Close()
	for range asksAgain {
		first, err := askOnce(ctx, tty, prompt)
		if err != nil || !twice {
			return first, err
		}
		again, err := askOnce(ctx, tty, prompt+" again")
		if err != nil {
			clear(first)
			return nil, err
		}
		same := bytes.Equal(first, again)
		clear(again)
		if same {
			return first, nil
		}
		clear(first)
		fmt.Fprintln(tty, "The two are not the same.")
	}
	return nil, fmt.Errorf("%w: the two were never the same", ErrNoPassphrase)
}

// askText asks on the terminal for what may be seen.
func askText(ctx context.Context, prompt string, _ bool) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no terminal to ask for %s on; give it with --set", ErrNoPassphrase, prompt)
	}
	defer tty.Close()
	return lineOf(ctx, tty, prompt, func() ([]byte, error) {
		b, err := bufio.NewReader(io.LimitReader(tty, maxPassphrase)).ReadBytes('\n')
		return bytes.TrimRight(b, "\r\n"), err
	})
}

// askOnce reads one line without showing it.
func askOnce(ctx context.Context, tty *os.File, prompt string) ([]byte, error) {
	fd := int(tty.Fd())
	return lineOf(ctx, tty, prompt, func() ([]byte, error) {
		b, err := term.ReadPassword(fd)
		fmt.Fprintln(tty)
		return b, err
	})
}

// lineOf shows prompt and reads a line. ctrl-C comes as the end of ctx, as signals
// do in this program, and must not wait for the line.
func lineOf(ctx context.Context, tty *os.File, prompt string, read func() ([]byte, error)) ([]byte, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoPassphrase, err)
	}
	fmt.Fprintf(tty, "%s: ", prompt)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() { // ends with the program, if nothing is typed
		b, err := read()
		typed <- line{b, err}
	}()
	select {
	case <-ctx.Done():
		_ = term.Restore(fd, before)
		fmt.Fprintln(tty)
		return nil, ctx.Err()
	case l := <-typed:
		if l.err != nil {
			return nil, fmt.Errorf("%w: %v", ErrNoPassphrase, l.err)
		}
		return l.text, nil
	}
}

// given reports whether a passphrase was handed over, so that nothing else
// needs to be tried.
func (s *secrets) given() bool {
	return s.fd != "" || len(s.env) > 0 || s.pinFD != "" || s.codeFD != ""
}

// Package clip lends a value to the clipboard and takes it back.
//
// On a desktop it uses the programs that the desktop has for this (wl-copy,
// xclip, pbcopy) or tmux; the value goes to them by standard input. Elsewhere, and over
// SSH, it asks the terminal with the escape sequence OSC 52, which most terminals
// understand, and some refuse.
//
// Taking back means clearing, and only if the value is still there; a terminal
// does not tell, so there it is cleared in any case. What a clipboard manager
// kept, or another program read meanwhile, stays there: desktops give the
// clipboard to every program of the session.
package clip

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// ErrNone is wrapped when there is no clipboard to use.
var ErrNone = errors.New("there is no clipboard here")

// maxValue is what terminals take of OSC 52 (xterm's limit is about 100 000
// characters of base64).
const maxValue = 64 << 10

// Clipboard is one place for a value.
type Clipboard struct {
	Name  string // "wl-copy", "xclip", "pbcopy", "tmux" or "terminal"
	set   []string
	get   []string // nil: it cannot be read
	clear []string
	tty   string
}

// Find chooses the clipboard of this session: getenv is os.Getenv outside of
// tests. Errors wrap ErrNone.
func Find(getenv func(string) string) (Clipboard, error) {
	remote := getenv("SSH_CONNECTION") != "" || getenv("SSH_TTY") != ""
	all := desktop(getenv)
	if remote {
		all = nil
	}
	if getenv("TMUX") != "" {
		all = append(all, inTmux())
	}
	for _, c := range all {
		if _, err := exec.LookPath(c.set[0]); err == nil {
			return c, nil
		}
	}
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		return Clipboard{}, fmt.Errorf("%w: no desktop's program for it (wl-copy, xclip, pbcopy) and no terminal", ErrNone)
	}
	return Clipboard{Name: "terminal", tty: tty.Name()}, tty.Close()
}

// inTmux is a buffer of tmux's own with a name, which tmux also sends to the
// terminal it is in. An escape sequence would leave the value in a list of
// buffers that only tmux can take it out of.
func inTmux() Clipboard {
	load := []string{"tmux", "load-buffer", "-w", "-b", "cipherdeck", "-"}
	return Clipboard{Name: "tmux", set: load, get: []string{"tmux", "show-buffer", "-b", "cipherdeck"},
		clear: append(load[:len(load):len(load)], ";", "delete-buffer", "-b", "cipherdeck")}
}

func desktop(getenv func(string) string) []Clipboard {
	var out []Clipboard
	if runtime.GOOS == "darwin" {
		out = append(out, Clipboard{Name: "pbcopy", set: []string{"pbcopy"}, get: []string{"pbpaste"}})
	}
	if getenv("WAYLAND_DISPLAY") != "" {
		out = append(out, Clipboard{Name: "wl-copy", set: []string{"wl-copy", "--type", "text/plain"}, get: []string{"wl-paste", "--no-newline"}, clear: []string{"wl-copy", "--clear"}})
	}
	if getenv("DISPLAY") != "" {
		out = append(out, Clipboard{Name: "xclip", set: []string{"xclip", "-selection", "clipboard"}, get: []string{"xclip", "-selection", "clipboard", "-o"}})
	}
	return out
}

// Lend puts value there, calls lent, waits for life or until ctx ends, and takes
// it back. Errors wrap ErrNone, or say what the program said.
func (c Clipboard) Lend(ctx context.Context, value []byte, life time.Duration, lent func()) error {
	if len(value) > maxValue {
		return fmt.Errorf("%w for %d bytes, limit %d", ErrNone, len(value), maxValue)
	}
	if err := c.put(ctx, value); err != nil {
		_ = c.takeBack(value) // it may have got there before it failed or was stopped
		return err
	}
	lent()
	select {
	case <-time.After(life):
	case <-ctx.Done():
	}
	return c.takeBack(value)
}

// Set puts value there and leaves it: for what is no secret. Errors wrap ErrNone,
// or say what the program said.
func (c Clipboard) Set(ctx context.Context, value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("%w for %d bytes, limit %d", ErrNone, len(value), maxValue)
	}
	return c.put(ctx, value)
}

func (c Clipboard) put(ctx context.Context, value []byte) error {
	if c.tty != "" {
		return c.write(value)
	}
	return c.run(ctx, c.set, value)
}

// takeBack clears the clipboard if value is still in it.
func (c Clipboard) takeBack(value []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if c.tty != "" {
		return errors.Join(c.write(blank()), c.write(nil))
	}
	now, err := exec.CommandContext(ctx, c.get[0], c.get[1:]...).Output()
	defer clear(now)
	if err == nil && !bytes.Equal(now, value) {
		return nil // something else was copied meanwhile
	}
	if c.clear != nil {
		return c.run(ctx, c.clear, blank())
	}
	return c.run(ctx, c.set, blank())
}

// blank takes the place of a value: some do not take nothing for an answer.
func blank() []byte { return []byte{' '} }

// run gives value to a program, which may stay behind to serve the selection:
// its output goes nowhere, so that nobody waits for it.
func (c Clipboard) run(ctx context.Context, argv []string, value []byte) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(value)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNone, argv[0], err)
	}
	return nil
}

// write asks the terminal to keep value (OSC 52, XTerm Control Sequences,
// "Manipulate Selection Data"); nil empties the clipboard.
func (c Clipboard) write(value []byte) error {
	f, err := os.OpenFile(c.tty, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	out := []byte("\x1b]52;c;")
	out = base64.StdEncoding.AppendEncode(out, value)
	out = append(out, '\a')
	defer clear(out)
	_, err = f.Write(out)
	return errors.Join(err, f.Close())
}

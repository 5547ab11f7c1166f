package ageplugin

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode"
)

// conversation is a running plugin.
type conversation struct {
	ctx  context.Context
	name string
	in   io.WriteCloser
	out  *bufio.Reader
	ui   UI
}

// wrap lets the plugin wrap fileKey (state machine recipient-v1).
func wrap(ctx context.Context, name, add, to string, fileKey []byte, ui UI) ([]stanza, error) {
	var got []stanza
	err := talk(ctx, name, "recipient-v1", ui, []stanza{
		{Type: add, Args: []string{to}}, {Type: "wrap-file-key", Body: fileKey}, {Type: "extension-labels"}, {Type: "done"},
	}, func(s stanza) (bool, error) {
		switch s.Type {
		case "recipient-stanza":
			if len(s.Args) < 2 || s.Args[0] != "0" {
				return false, fmt.Errorf("%w: a recipient stanza without the index 0", ErrProtocol)
			}
			got = append(got, stanza{s.Args[1], s.Args[2:], s.Body})
			return true, nil
		case "labels": // they forbid mixing recipients; there is one
			return true, nil
		}
		return false, nil
	})
	if err == nil && len(got) == 0 {
		err = fmt.Errorf("%w: plugin %s wrapped nothing", ErrProtocol, name)
	}
	return got, err
}

// unwrap lets the plugin find the file key (state machine identity-v1).
func unwrap(ctx context.Context, name, identity string, stanzas []stanza, ui UI) ([]byte, error) {
	script := []stanza{{Type: "add-identity", Args: []string{identity}}}
	for _, s := range stanzas {
		if err := checkArgs(append([]string{s.Type}, s.Args...)); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrData, err)
		}
		script = append(script, stanza{"recipient-stanza", append([]string{"0", s.Type}, s.Args...), s.Body})
	}
	var fileKey []byte
	err := talk(ctx, name, "identity-v1", ui, append(script, stanza{Type: "done"}), func(s stanza) (bool, error) {
		if s.Type != "file-key" {
			return false, nil
		}
		if len(s.Args) != 1 || s.Args[0] != "0" || fileKey != nil || len(s.Body) != fileKeySize {
			return false, fmt.Errorf("%w: not one file key of %d bytes", ErrProtocol, fileKeySize)
		}
		fileKey = s.Body
		return true, nil
	})
	if err == nil && fileKey == nil {
		err = fmt.Errorf("%w: plugin %s", ErrIdentity, name)
	}
	return fileKey, err
}

// talk runs the plugin, sends script, and answers what it says until "done".
// take tells whether it wanted a stanza.
func talk(ctx context.Context, name, machine string, ui UI, script []stanza, take func(stanza) (bool, error)) error {
	path, err := exec.LookPath("age-plugin-" + name)
	if err != nil {
		return fmt.Errorf("%w: age-plugin-%s: %v", ErrNoPlugin, name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends a plugin that does not end by itself
	cmd := exec.CommandContext(ctx, path, "--age-plugin="+machine)
	cmd.Dir, cmd.Env, cmd.WaitDelay = os.TempDir(), environ(), time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %v", ErrNoPlugin, err)
	}
	c := &conversation{ctx, name, in, bufio.NewReaderSize(out, maxLine), ui}
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() }) // also if its children hold the pipes
	defer stop()
	// A plugin may stop reading before the script is at its end: both at once.
	sent := make(chan error, 1)
	go func() { sent <- c.send(script) }()
	err = c.answer(take, sent)
	if e := context.Cause(ctx); e != nil && err != nil {
		err = e
	}
	in.Close()
	cancel()
	_ = cmd.Wait() // we may have killed it, which says nothing
	return err
}

func (c *conversation) send(script []stanza) error {
	for _, s := range script {
		if err := s.write(c.in); err != nil {
			return err
		}
	}
	return nil
}

// answer is the second phase, in which the plugin leads.
func (c *conversation) answer(take func(stanza) (bool, error), sent <-chan error) error {
	for range maxStanzas {
		s, err := readStanza(c.out)
		if errors.Is(err, ErrProtocol) {
			return fmt.Errorf("plugin %s: %w", c.name, err)
		}
		if err != nil {
			return fmt.Errorf("%w: plugin %s ended in the middle: %v", ErrProtocol, c.name, err)
		}
		if sent != nil { // it speaks only when it has heard all
			if err := <-sent; err != nil {
				return fmt.Errorf("%w: plugin %s did not listen: %v", ErrProtocol, c.name, err)
			}
			sent = nil
		}
		if s.Type == "done" {
			return nil
		}
		if s.Type == "error" {
			_ = stanza{Type: "ok"}.write(c.in)
			return fmt.Errorf("%w: %s: %s", ErrPlugin, c.name, plain(string(s.Body)))
		}
		wanted, err := take(s)
		if err != nil {
			return fmt.Errorf("plugin %s: %w", c.name, err)
		}
		reply := stanza{Type: "ok"}
		if !wanted {
			reply = c.ask(s)
		}
		err = reply.write(c.in)
		clear(reply.Body)
		if err != nil {
			return fmt.Errorf("%w: plugin %s ended in the middle: %v", ErrProtocol, c.name, err)
		}
	}
	return fmt.Errorf("%w: plugin %s sent %d stanzas without an end", ErrProtocol, c.name, maxStanzas)
}

// ask does what the plugin wants of the user.
func (c *conversation) ask(s stanza) stanza {
	text := plain(string(s.Body))
	switch {
	case s.Type == "msg":
		if c.ui.Message != nil {
			c.ui.Message(c.name, text)
		}
		return stanza{Type: "ok"}
	case s.Type == "request-public" || s.Type == "request-secret":
		if c.ui.Ask == nil {
			return stanza{Type: "fail"}
		}
		value, err := c.ui.Ask(c.ctx, c.name, text, s.Type == "request-secret")
		if err != nil {
			return stanza{Type: "fail"}
		}
		return stanza{Type: "ok", Body: value}
	case s.Type == "confirm" && (len(s.Args) == 1 || len(s.Args) == 2) && c.ui.Confirm != nil:
		var labels [2]string
		for i, a := range s.Args {
			b, err := base64.RawStdEncoding.DecodeString(a)
			if err != nil {
				return stanza{Type: "fail"}
			}
			labels[i] = plain(string(b))
		}
		yes, err := c.ui.Confirm(c.ctx, c.name, text, labels[0], labels[1])
		if err != nil {
			return stanza{Type: "fail"}
		}
		if yes {
			return stanza{Type: "ok", Args: []string{"yes"}}
		}
		return stanza{Type: "ok", Args: []string{"no"}}
	case s.Type == "confirm":
		return stanza{Type: "fail"}
	}
	return stanza{Type: "unsupported"}
}

// plain is at most 500 characters that a terminal shows as themselves.
func plain(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; n > 500 || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// environ is ours without what is meant for us, such as a passphrase.
func environ() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CIPHERDECK_") {
			out = append(out, e)
		}
	}
	return out
}

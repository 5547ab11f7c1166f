package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"cipherdeck/ui/action"
	"cipherdeck/ui/plain"
)

// brief shows a result that may stay for a time only, if standard output is a
// terminal: on its second screen, which has no history, until the time is over,
// a key is pressed or ctx ends. shown is false when there is nothing to hide, or
// nobody to hide it from because the output goes to a program.
func (env Env) brief(ctx context.Context, res action.Result) (shown bool, err error) {
	out, ok := env.Stdout.(*os.File)
	if !ok || res.Brief <= 0 || !term.IsTerminal(int(out.Fd())) {
		return false, nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false, nil // a terminal that is not ours: it gets the text, as a file would
	}
	defer tty.Close()
	state, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return false, err
	}
	const enter, leave = "\x1b[?1049h\x1b[H\x1b[2J\x1b[?25l", "\x1b[H\x1b[2J\x1b[?25h\x1b[?1049l"
	fmt.Fprint(tty, enter)
	defer func() {
		fmt.Fprint(tty, leave)
		_ = term.Restore(int(tty.Fd()), state)
	}()
	for _, l := range res.Text {
		fmt.Fprint(tty, plain.Text(l), "\r\n")
	}
	waitBriefly(ctx, tty, res.Brief)
	return true, nil
}

// waitBriefly counts down until life is over, a key comes or ctx ends.
func waitBriefly(ctx context.Context, tty io.ReadWriter, life time.Duration) {
	key := make(chan struct{})
	go func() { // ends with the program, if no key comes
		_, _ = tty.Read(make([]byte, 1))
		close(key)
	}()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for end := time.Now().Add(life); ; {
		left := time.Until(end).Round(time.Second)
		fmt.Fprintf(tty, "\r\x1b[Kgone in %s; any key hides it now", left)
		select {
		case <-second.C:
			if time.Now().Before(end) {
				continue
			}
		case <-key:
		case <-ctx.Done():
		}
		return
	}
}

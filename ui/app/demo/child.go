package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// patience is how long a process may take to say that it is ready, or to end.
const patience = 20 * time.Second

// child is a process of this demonstration.
type child struct {
	cmd  *exec.Cmd
	hold io.Closer // its standard input
	done chan struct{}
}

// start runs a program whose first line of output is a note, and returns that
// note. Everything it says on standard error goes to a log file.
func start(ctx context.Context, log, exe string, args ...string) (*child, map[string]string, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	cmd := exec.Command(exe, append(args, "--until-eof")...)
	cmd.Stderr = f
	hold, err := cmd.StdinPipe() // ends with this process, however it ends
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	c := &child{cmd: cmd, hold: hold, done: make(chan struct{})}
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		s, _ := r.ReadString('\n')
		line <- s
		cmd.Wait()
		close(c.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case s := <-line:
		note, err := parseNote(s)
		if err != nil {
			c.stop()
			return nil, nil, fmt.Errorf("%w; its log ends: %s", err, tail(log))
		}
		return c, note, nil
	case <-ctx.Done():
		c.stop()
		return nil, nil, fmt.Errorf("not ready in time: %w", ctx.Err())
	}
}

func parseNote(line string) (map[string]string, error) {
	var raw map[string]any
	err := json.Unmarshal([]byte(line), &raw)
	if e, ok := raw["error"].(map[string]any); ok {
		return nil, fmt.Errorf("it did not start: %v", e["cause"])
	}
	if err != nil || raw["note"] == nil {
		return nil, errors.New("it ended before it was ready")
	}
	out := map[string]string{}
	for k, v := range raw {
		out[k] = fmt.Sprint(v)
	}
	return out, nil
}

// stop ends the process: politely, then not.
func (c *child) stop() {
	if c == nil {
		return
	}
	c.hold.Close()
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		c.cmd.Process.Kill()
		<-c.done
	}
}

// tail is the last line of a log.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

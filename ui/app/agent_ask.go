package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"cipherdeck/ui/plain"
	"cipherdeck/vault/agent"
)

// AskYes asks whoever sits there for a yes; only a nil error is one.
type AskYes func(ctx context.Context, question string) error

// asksAgent is how the agent asks for each use of a key: one question at a
// time, because two on one screen are answered wrongly. Who waits for his turn
// uses up his own minute.
func asksAgent(ask AskYes) func(context.Context, agent.Use) error {
	if ask == nil {
		return nil
	}
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, u agent.Use) error {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
			return ask(ctx, questionOf(u))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// questionOf names what asks and for what. The command is what the asker says of
// itself; its process and the vault are not.
func questionOf(u agent.Use) string {
	who := "A program"
	if u.Purpose != "" {
		who = "“cipherdeck " + plain.Text(u.Purpose) + "”"
	}
	if u.PID > 0 {
		who += fmt.Sprintf(" (process %d)", u.PID)
	}
	return who + " wants to open vault " + plain.Text(u.Vault) + ". Allow it this once?"
}

// askProgram asks by a program that takes the question as its only argument and
// ends with 0 for yes, as ssh-askpass does for confirmations. It is stopped,
// with what it started, when ctx ends.
func askProgram(program string) (AskYes, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%w: --confirm-with: %v", ErrInput, err)
	}
	return func(ctx context.Context, question string) error {
		cmd := exec.CommandContext(ctx, path, question)
		cmd.Env = append(os.Environ(), "SSH_ASKPASS_PROMPT=confirm")
		cmd.WaitDelay = time.Second
		alone(cmd)
		return cmd.Run()
	}, nil
}

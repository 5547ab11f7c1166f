package action

import (
	"context"
	"fmt"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func agentActions() []*Action {
	return []*Action{
		{ID: "agent", Title: "Hold unlocked keys for later commands", Daemon: true, Args: []Arg{{Name: "confirm-with", Flag: "confirm-with", Help: "program that asks before a key is used that was unlocked with --confirm: it gets the question as its argument and ends with 0 for yes, as ssh-askpass does; left out: the agent asks on its own terminal, when it is in the foreground there"}, untilEOF()},
			Help: "Listens on a private socket of this user. Commands then open the vault without asking. Keys are forgotten when their time is over, on hang-up, and before the machine sleeps.",
			Run: func(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
				return Result{}, a.RunAgent(lifetime(ctx, args), args.Get("confirm-with"), sink)
			}},
		{ID: "agent.unlock", Title: "Unlock once for later commands", Vault: true, Run: runAgentUnlock,
			Help: "Opens the vault and gives its key to the agent, which must be running: cipherdeck agent &.",
			Args: []Arg{{Name: "life", Flag: "life", Default: "8h", Help: "how long, at most 24h"}, {Name: "idle", Flag: "idle", Default: "30m", Help: "forget it when it was not used for so long; 0 for never"}, {Name: "confirm", Flag: "confirm", Switch: true, Help: "ask before each use; the agent must have a way to (help agent)"}}},
		{ID: "agent.lock", Title: "Make the agent forget all keys",
			Help: "The next command asks again.",
			Run: func(ctx context.Context, _ *app.App, _ Args, _ progress.Sink) (Result, error) {
				return Result{Text: []string{"locked"}}, app.LockAgent(ctx)
			}},
		{ID: "agent.status", Title: "List what the agent holds", Run: runAgentStatus,
			Help: "Ids of vaults, and until when. No key is shown."},
	}
}

func runAgentUnlock(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	life, err := time.ParseDuration(args.Get("life"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: --life %q: want a time as 8h or 30m", app.ErrInput, args.Get("life"))
	}
	idle, err := time.ParseDuration(args.Get("idle"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: --idle %q: want a time as 8h or 30m", app.ErrInput, args.Get("idle"))
	}
	idle = min(idle, life) // a short life ends it anyway
	if err := a.LendToAgent(ctx, life, idle, args.Has("confirm")); err != nil {
		return Result{}, err
	}
	text := "unlocked for " + life.String()
	if args.Has("confirm") {
		text += "; each use is asked about"
	}
	return Result{Data: map[string]any{"life": life.String(), "idle": idle.String(), "confirm": args.Has("confirm")}, Text: []string{text}}, nil
}

func runAgentStatus(ctx context.Context, _ *app.App, _ Args, _ progress.Sink) (Result, error) {
	keys, err := app.AgentKeys(ctx)
	if err != nil {
		return Result{}, err
	}
	type heldView struct {
		Vault   string `json:"vault"`
		Ends    string `json:"ends"`
		Confirm bool   `json:"confirm"`
	}
	views := []heldView{}
	r := Result{Text: []string{fmt.Sprintf("%d vault(s) unlocked", len(keys))}}
	for _, k := range keys {
		v := heldView{k.Vault, k.Ends.UTC().Format(time.RFC3339), k.Confirm}
		views = append(views, v)
		line := "  " + v.Vault + " until " + v.Ends
		if v.Confirm {
			line += ", asks before each use"
		}
		r.Text = append(r.Text, line)
	}
	r.Data = views
	return r, nil
}

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
		{ID: "agent", Title: "Hold unlocked keys for later commands", Daemon: true, Args: []Arg{untilEOF()},
			Help: "Listens on a private socket of this user. Commands then open the vault without asking. Keys are forgotten when their time is over, on hang-up, and before the machine sleeps.",
			Run: func(ctx context.Context, _ *app.App, args Args, sink progress.Sink) (Result, error) {
				return Result{}, app.RunAgent(lifetime(ctx, args), sink)
			}},
		{ID: "agent.unlock", Title: "Unlock once for later commands", Vault: true, Run: runAgentUnlock,
			Help: "Opens the vault and gives its key to the agent, which must be running: cipherdeck agent &.",
			Args: []Arg{{Name: "life", Flag: "life", Default: "8h", Help: "how long, at most 24h"}, {Name: "idle", Flag: "idle", Default: "30m", Help: "forget it when it was not used for so long; 0 for never"}}},
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
	if err := a.LendToAgent(ctx, life, idle); err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"life": life.String(), "idle": idle.String()}, Text: []string{"unlocked for " + life.String()}}, nil
}

func runAgentStatus(ctx context.Context, _ *app.App, _ Args, _ progress.Sink) (Result, error) {
	keys, err := app.AgentKeys(ctx)
	if err != nil {
		return Result{}, err
	}
	type heldView struct {
		Vault string `json:"vault"`
		Ends  string `json:"ends"`
	}
	views := []heldView{}
	r := Result{Text: []string{fmt.Sprintf("%d vault(s) unlocked", len(keys))}}
	for _, k := range keys {
		v := heldView{k.Vault, k.Ends.UTC().Format(time.RFC3339)}
		views = append(views, v)
		r.Text = append(r.Text, "  "+v.Vault+" until "+v.Ends)
	}
	r.Data = views
	return r, nil
}

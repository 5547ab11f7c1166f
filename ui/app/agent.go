package app

import (
	"context"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/secmem"
	"cipherdeck/vault"
	"cipherdeck/vault/agent"
)

// byAgent opens the vault with the key that the agent holds. Every error means
// that another way has to be tried.
func (a *App) byAgent(ctx context.Context) (*vault.Vault, error) {
	if a.cfg.Agent == "" {
		return nil, agent.ErrNoAgent
	}
	u, err := agent.Client{Purpose: a.cfg.Agent}.Get(ctx)
	if err != nil {
		return nil, err
	}
	return vault.Open(ctx, a.vaultPath(), u)
}

// RunAgent holds keys of vaults and serves them to this user's commands until
// ctx ends. It forgets them on SIGHUP, before the machine sleeps, and when
// their time is over. program asks for each use of a key that is to be
// confirmed; if it is empty the App's AskYes does, and if that is nil such keys
// are refused.
func (a *App) RunAgent(ctx context.Context, program string, sink progress.Sink) error {
	ask := a.cfg.AskYes
	if program != "" {
		var err error
		if ask, err = askProgram(program); err != nil {
			return err
		}
	}
	if err := secmem.Harden(); err != nil {
		sink.Note("not-hardened", "cause", err.Error()) // keys are locked in memory all the same
	}
	socket, err := agent.Socket()
	if err != nil {
		return err
	}
	g, err := agent.Listen(agent.Config{Confirm: asksAgent(ask)})
	if err != nil {
		return err
	}
	sink.Note("listening", "socket", socket, "confirms", ask != nil)
	return g.Serve(ctx)
}

// LendToAgent gives the open vault's key to the agent for life, or until it was
// not used for idle. With confirm each use is asked about.
func (a *App) LendToAgent(ctx context.Context, life, idle time.Duration, confirm bool) error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	return agent.Client{}.Put(ctx, v, life, idle, confirm)
}

// LockAgent makes the agent forget all keys.
func LockAgent(ctx context.Context) error { return agent.Client{}.Lock(ctx, "") }

// AgentKeys lists what the agent holds.
func AgentKeys(ctx context.Context) ([]agent.Held, error) { return agent.Client{}.Status(ctx) }

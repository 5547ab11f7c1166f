package app

import (
	"context"
	"os"

	"cipherdeck/vault"
	"cipherdeck/vault/agent"
)

// Health is how good a finding is.
type Health string

// The states of a finding.
const (
	Good    Health = "ok"
	Warn    Health = "warn"    // it works, and could be better
	Bad     Health = "bad"     // it does not work, or is not safe
	Unknown Health = "unknown" // it cannot be told from here
)

// Glyph is the state in one character, beside its word.
func (h Health) Glyph() string {
	switch h {
	case Good:
		return "✓"
	case Warn:
		return "!"
	case Bad:
		return "✗"
	}
	return "?"
}

// Finding is one thing that Doctor looked at.
type Finding struct {
	ID    string `json:"id"`
	State Health `json:"state"`
	Found string `json:"found"`
	Means string `json:"means,omitempty"`
	Do    string `json:"do,omitempty"`
}

// doctor is where Doctor looks. Tests give it other places.
type doctor struct {
	a       *App
	proc    string // /proc
	sys     string // /sys
	environ []string
	path    string // folders of programs
	out     *os.File

	file vault.Description
	err  error // why there is no file
}

// Doctor looks at vault, machine and environment. It changes nothing, and asks
// nobody: what is in the vault is looked at only when it is open, or when the
// agent opens it without a question.
func (a *App) Doctor(ctx context.Context) []Finding {
	d := doctor{a: a, proc: "/proc", sys: "/sys", environ: os.Environ(), path: os.Getenv("PATH"), out: os.Stdout}
	return d.all(ctx)
}

func (d *doctor) all(ctx context.Context) []Finding {
	d.file, d.err = vault.Describe(d.a.vaultPath())
	out := d.files()
	if d.err == nil {
		out = append(out, d.version(), d.rollback(), d.recovery(), d.cost())
	}
	out = append(out, d.keyring(ctx), d.kernel(ctx), d.agent(ctx), d.tpm(), d.pkcs11(), d.plugins())
	out = append(out, d.memory(), d.cores(), d.swap(), d.erases())
	out = append(out, d.passphrase(), d.variables(), d.settings(), d.clipboard(), d.terminal(), d.clock(), d.disk())
	return append(out, d.inside(ctx)...)
}

// has reports whether the vault has a slot of this type.
func (d *doctor) has(t vault.SlotType) bool { return slotOf(d.file.Slots, t) >= 0 }

// openQuietly opens the vault through the agent, if that asks nobody.
func (d *doctor) openQuietly(ctx context.Context) bool {
	if _, _, err := d.a.opened(); err == nil {
		return true
	}
	if d.a.cfg.Agent == "" || d.err != nil {
		return false
	}
	held, err := agent.Client{}.Status(ctx)
	if err != nil {
		return false
	}
	for _, h := range held {
		if h.Vault != d.file.ID || h.Confirm {
			continue
		}
		if v, err := d.a.byAgent(ctx); err == nil {
			_, err = d.a.adopt(v, WayAgent)
			return err == nil
		}
	}
	return false
}

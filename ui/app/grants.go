package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project"
)

// GrantNode fetches a node's account from the project's server and lets it run
// jobs of the project. The node sees rows only as ciphertext, whoever it is.
func (a *App) GrantNode(ctx context.Context, p *project.Project, node chain.UID, life time.Duration) (id.ID, error) {
	acc, err := a.nodeAccount(ctx, p, node)
	if err != nil {
		return id.ID{}, err
	}
	return a.grant(ctx, p, project.Granting{Node: acc, Until: a.Now().Add(life)})
}

func (a *App) grant(ctx context.Context, p *project.Project, g project.Granting) (id.ID, error) {
	i, err := p.Grant(ctx, g)
	if err != nil {
		return i, err
	}
	return i, a.noteHead(p)
}

// Granted is what a node was granted after it proved what it runs.
type Granted struct {
	ID      id.ID
	Verdict *attest.Verdict
	First   bool   // it is the first one on this node here
	Key     []byte // of its TPM: jobs are for it only
	Models  []id.ID
	Until   time.Time
}

// GrantAttested attests a node and lets the machine that it runs on, in the
// state that it is in, run jobs with these models; none: any. The grant is for a
// key in the machine's TPM which a change or a restart takes away. Errors are
// those of AttestNode, ErrHeld, and ErrNodeKey when the machine shows no such
// key; then nothing is granted, and a verdict comes with the error.
func (a *App) GrantAttested(ctx context.Context, p *project.Project, node chain.UID, life time.Duration, models []id.ID) (Granted, error) {
	acc, err := a.nodeAccount(ctx, p, node)
	if err != nil {
		return Granted{}, err
	}
	carry, err := a.carry(ctx, p, node)
	if err != nil {
		return Granted{}, err
	}
	first := !a.judgedBefore(NodeName(node))
	v, err := a.attestNode(ctx, p.ID().String(), acc, carry)
	if err != nil {
		return Granted{Verdict: v}, err
	}
	if err := a.held(NodeName(node)); err != nil {
		return Granted{Verdict: v}, err
	}
	key := channel.JobKeyOf(v)
	if key == nil {
		return Granted{Verdict: v}, fmt.Errorf("%w: %s shows no key that its TPM holds; link %s says why", ErrNodeKey, v.Subject, attest.LinkJobKey)
	}
	models = slices.Clone(models)
	slices.SortFunc(models, id.Compare)
	models = slices.Compact(models)
	if len(models) > chain.MaxGrantModels {
		return Granted{Verdict: v}, fmt.Errorf("%w: %d models in one grant, limit %d", ErrInput, len(models), chain.MaxGrantModels)
	}
	g := Granted{Verdict: v, First: first, Key: key, Models: models, Until: a.Now().Add(life)}
	g.ID, err = a.grant(ctx, p, project.Granting{Node: acc, Until: g.Until, Key: key, AKName: v.AKName, Op: chain.GrantBlind, Models: models})
	return g, err
}

// ModelIDs are the ids that jobs name models by. A job's model is encoded for
// the ranges of its data, so there is one for each model and dataset.
func (a *App) ModelIDs(ctx context.Context, p *project.Project, names []string, data, label string, sink progress.Sink) (out []id.ID, err error) {
	for _, n := range names {
		w, err := a.Plan(ctx, p, RunSpec{Model: n, Data: data, Label: label}, sink)
		if err != nil {
			return nil, err
		}
		out = append(out, w.Plan.Core.Model)
	}
	return out, nil
}

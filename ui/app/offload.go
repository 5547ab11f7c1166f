package app

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/vault/project"
)

// computer has a job done and gives back its checked result.
type computer func(ctx context.Context, j job.JobDoc, out *Outcome) (job.Result, error)

// place decides where blobs go and who computes.
func (a *App) place(ctx context.Context, p *project.Project, at Where, sink progress.Sink) (job.Blobs, computer, error) {
	if at.Here {
		m := memory{new(sync.Map)}
		return m, func(ctx context.Context, j job.JobDoc, out *Outcome) (job.Result, error) {
			out.Node, out.Attempts = "here", 1
			return circuit.Runner{Workers: runtime.GOMAXPROCS(0)}.Run(ctx, j, m, sink)
		}, nil
	}
	if err := a.held(at.Server); err != nil {
		return nil, nil, err
	}
	// A verdict as fresh as can be before anything of a job is sent.
	if _, err := a.Attest(ctx, at.Server); err != nil {
		return nil, nil, err
	}
	if err := a.held(at.Server); err != nil { // by that very verdict
		return nil, nil, err
	}
	c, err := a.attested(at.Server)
	if err != nil {
		return nil, nil, err
	}
	return stored{place{c.Project(p.ID())}}, func(ctx context.Context, j job.JobDoc, out *Outcome) (job.Result, error) {
		return a.offload(ctx, c.Project(p.ID()), j, at.Node, out, sink)
	}, nil
}

// offload submits j and waits for the node's signed result.
func (a *App) offload(ctx context.Context, c *api.Project, j job.JobDoc, node *chain.Account, out *Outcome, sink progress.Sink) (job.Result, error) {
	_, me, err := a.opened()
	if err != nil {
		return job.Result{}, err
	}
	raw, err := doc.Sign(job.DocType, j, me.Device)
	if err != nil {
		return job.Result{}, err
	}
	out.Job, out.Node = id.Of(raw), node.UID.String()
	if _, err := c.SubmitJob(ctx, raw); err != nil {
		return job.Result{}, err
	}
	ctx, cancel := context.WithDeadline(ctx, time.Unix(j.NotAfter, 0))
	defer cancel()
	return a.wait(ctx, c, out, sink, func(result []byte) (job.Result, error) {
		return job.OpenResult(result, out.Job, j, node.Device)
	})
}

// wait follows a job until it ends, by long polls.
func (a *App) wait(ctx context.Context, c *api.Project, out *Outcome, sink progress.Sink, open func([]byte) (job.Result, error)) (job.Result, error) {
	sink.Phase("compute on "+chainShort(out.Node), 0, progress.Items)
	var seen uint64
	var done int64
	for {
		st, err := c.Job(ctx, out.Job, 20*time.Second, seen)
		if err != nil {
			return job.Result{}, err
		}
		if st.Rev == seen { // a server that answers at once must not make this spin
			if err := pause(ctx, 200*time.Millisecond); err != nil {
				return job.Result{}, err
			}
		}
		seen, out.Attempts = st.Rev, st.Attempt
		if st.Done > done {
			sink.Add(st.Done - done)
			done = st.Done
		}
		switch st.State {
		case api.JobDone:
			return open(st.Result)
		case api.JobFailed:
			return job.Result{}, fmt.Errorf("%w: node gave up after %d attempts: %s", ErrRejected, st.Attempt, st.Reason)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func chainShort(uid string) string {
	if len(uid) > 8 {
		return uid[:8]
	}
	return uid
}

// At finds node among the nodes that p grants, and says how to reach it.
func (a *App) At(p *project.Project, node chain.UID) (Where, error) {
	server, err := a.ServerOf(p)
	if err != nil {
		return Where{}, err
	}
	g := grantsOf(p.State().Grants, node, a.Now())
	if len(g) == 0 {
		return Where{}, fmt.Errorf("%w: %s in this project; an admin can: grant PROJECT %s", chain.ErrGrant, node.Short(), node)
	}
	return Where{Server: server, Node: g[0].Node, Grants: g}, nil
}

// grantsOf are the grants of a node that have not ended. One to a key in its TPM
// goes before one without, so that nobody falls back to less by chance; then the
// newest go first.
func grantsOf(all map[id.ID]chain.Grant, node chain.UID, now time.Time) (out []chain.Grant) {
	for _, g := range all {
		if g.Node.UID == node && now.Before(g.NotAfter) {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b chain.Grant) int {
		return cmp.Or(cmp.Compare(len(b.Key), len(a.Key)), cmp.Compare(b.Seq, a.Seq), id.Compare(a.ID, b.ID))
	})
	return out
}

package node

import (
	"context"
	"errors"
	"time"

	"cipherdeck/attest/channel"
	"cipherdeck/remote/api"
)

// Answer answers what a client asks about this machine, by way of the server:
// see channel.NodeResponder. What comes with an error that wraps
// channel.ErrChallenge is told to the client; of others only that there was one.
type Answer func(ctx context.Context, kind string, body []byte) ([]byte, error)

// answers fetches questions and answers them until ctx ends, beside the jobs: a
// node that computes for an hour must not be silent for one.
func (n Node) answers(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		q, ok, err := n.Client.Asked(ctx, poll)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			n.Log.Warn("cannot hear questions", "err", err, "again_in", pause)
			rest(ctx, pause)
			pause = min(2*pause, lastPause)
		case ok:
			pause = firstPause
			n.reply(ctx, q)
		default:
			pause = firstPause
			rest(ctx, pause)
		}
	}
}

func (n Node) reply(ctx context.Context, q api.Question) {
	a := api.NodeAnswer{ID: q.ID}
	ctx, cancel := context.WithTimeout(ctx, api.AskPatience) // nobody waits for longer
	defer cancel()
	body, err := n.Answer(ctx, q.Kind, q.Body)
	switch {
	case errors.Is(err, channel.ErrChallenge):
		a.Refused = err.Error()
		a.Refused = a.Refused[:min(len(a.Refused), api.MaxRefusal)]
	case err != nil:
		n.Log.Error("cannot attest", "err", err)
		a.Refused = "it cannot attest"
	default:
		a.Body = body
	}
	start := n.Now()
	if err := n.Client.Answer(ctx, a); err != nil && ctx.Err() == nil {
		n.Log.Warn("an answer was not taken", "kind", q.Kind, "after", n.Now().Sub(start).Round(time.Millisecond), "err", err)
	}
}

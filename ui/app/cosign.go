package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	"cipherdeck/remote/server"
	"cipherdeck/remote/witness"
)

// Clients and nodes are witnesses that no address leads to: they bring their
// cosignatures to the server, which hands them out to everybody. A server that
// keeps two histories gets those of one side for each.

// ErrOtherLog is wrapped when a server names a journal that is not its own.
var ErrOtherLog = errors.New("the server names a journal that is not its own")

// witnessDir is where a client and a node keep the key and the memory of theirs.
const witnessDir = "witness"

// visitEvery is how often a node looks whether the journal has grown.
const visitEvery = time.Second

// Cosigned is a checkpoint that this machine has cosigned.
type Cosigned struct {
	Server string `json:"server"`
	Key    string `json:"key"` // of the witness
	Size   uint64 `json:"size"`
	Root   id.ID  `json:"root"`
	Taken  bool   `json:"taken"` // the server hands the cosignature out
}

// Cosign makes this machine a witness of a server's journal, or lets it be one
// again: what the vault remembers of the journal must hold, then what the
// witness does. From then on each opening of a project cosigns too.
func (a *App) Cosign(ctx context.Context, server string) (out Cosigned, err error) {
	if err := os.MkdirAll(a.witnessPath(), 0o700); err != nil {
		return out, err
	}
	for range 3 { // a journal that is busy grows between the look and the answer
		v, err := a.look(ctx, server)
		if err != nil {
			return out, err
		}
		if out, err = a.cosign(ctx, server, v); !errors.Is(err, api.ErrConflict) {
			return out, err
		}
	}
	return out, err
}

func (a *App) witnessPath() string { return filepath.Join(a.cfg.Home, witnessDir) }

// cosign brings the cosignature of a checkpoint that was looked at.
func (a *App) cosign(ctx context.Context, server string, v tlog.Verdict) (out Cosigned, err error) {
	c, err := a.store(server)
	if err != nil {
		return out, err
	}
	p, _, err := a.policyOf(ctx, c, server)
	if err != nil {
		return out, err
	}
	w, err := witness.Open(ctx, a.witnessPath(), "", []tlog.Key{p.Log}, a.cfg.Now)
	if err != nil {
		return out, err
	}
	defer w.Close()
	_, err = w.Bring(ctx, c, p.Log, v.Raw)
	out = Cosigned{Server: server, Key: w.Key().String(), Size: v.Size, Root: v.Root, Taken: err == nil}
	var fork *witness.Conflict
	switch {
	case errors.Is(err, api.ErrForbidden):
		err = nil // it was not told of this witness
	case errors.As(err, &fork), errors.Is(err, tlog.ErrProof):
		err = fmt.Errorf("%w: server %q: %w", ErrSplit, server, err)
	}
	return out, err
}

// gossip cosigns what was looked at, where Cosign was asked for before. Only a
// contradiction is an error: what cannot be brought now is brought another time.
func (a *App) gossip(ctx context.Context, server string, v tlog.Verdict) error {
	if _, err := os.Stat(a.witnessPath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := a.cosign(ctx, server, v); errors.Is(err, ErrSplit) {
		return err
	}
	return nil
}

// nodeWitness cosigns the journal of a node's server beside the node's work,
// until ctx ends; wait returns when it has stopped.
func nodeWitness(ctx context.Context, c *api.Client, spec NodeSpec, log *slog.Logger, sink progress.Sink) (wait func(), err error) {
	m, err := c.Meta(ctx)
	if err != nil {
		return nil, err
	}
	key, err := tlog.ParseKey(m.Journal)
	if err != nil {
		return nil, err
	}
	if want := server.Origin(spec.Code.Pin); key.Name != want {
		return nil, fmt.Errorf("%w: %q, want %q", ErrOtherLog, key.Name, want)
	}
	w, err := witness.Open(ctx, filepath.Join(spec.Dir, witnessDir), "", []tlog.Key{key}, nil)
	if err != nil {
		return nil, err
	}
	sink.Note("witnessing", "key", w.Key().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		w.Keep(ctx, c, key, visitEvery, log)
	}()
	return func() { <-done }, nil
}

package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
)

// A witness that nobody can call, behind a firewall or in a client, goes to the
// log instead: it fetches the newest checkpoint, demands that it continues what
// it saw, and brings the cosignature back.

// Visit cosigns the newest checkpoint of a log of the witness, at the server
// that keeps it. When the server does not take the cosignature, the error is one
// of api: ErrForbidden when it was not told of this witness, ErrConflict when
// its log has grown meanwhile.
func (w *Witness) Visit(ctx context.Context, c *api.Client, log tlog.Key) (v tlog.Verdict, err error) {
	raw, err := c.Checkpoint(ctx)
	if err != nil {
		return v, err
	}
	return w.Bring(ctx, c, log, raw)
}

// Bring is Visit for a checkpoint that the caller has fetched already.
func (w *Witness) Bring(ctx context.Context, c *api.Client, log tlog.Key, raw []byte) (v tlog.Verdict, err error) {
	if v, err = (tlog.Policy{Log: log, Witnesses: []tlog.Key{w.Key()}, Need: 1}).Open(raw, w.now()); err != nil {
		return v, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	last, err := w.seen(log.Name)
	if err != nil {
		return v, err
	}
	var path []id.ID
	switch {
	case v.Size < last.Size:
		return v, &Conflict{Size: last.Size}
	case v.Size == last.Size && v.Root == last.Root && v.Witnessed():
		return v, nil
	case v.Size > last.Size && last.Size > 0:
		r, err := c.Consistency(ctx, last.Size, v.Size)
		if err != nil {
			return v, err
		}
		path = r.Path
	}
	line, err := w.Add(last.Size, path, raw)
	if err != nil {
		return v, err
	}
	return v, c.Cosigned(ctx, line)
}

func (w *Witness) seen(origin string) (sighting, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last(origin)
}

// slowest is how long Keep waits after it was refused again and again. It is less
// than clients wait for witnesses.
const slowest = 5 * time.Second

// Keep visits a log, every so often, until ctx ends. What goes wrong is written
// once, and again when it changes: a server that does not count this witness is
// a matter of its configuration, a fork is what the witness is for.
func (w *Witness) Keep(ctx context.Context, c *api.Client, log tlog.Key, every time.Duration, out *slog.Logger) {
	said, pause := "", every
	for ctx.Err() == nil {
		_, err := w.Visit(ctx, c, log)
		switch {
		case err == nil:
			said, pause = "", every
		case ctx.Err() != nil:
			return
		case errors.Is(err, api.ErrConflict): // a newer checkpoint came between
			pause = every
		default:
			pause = min(2*pause, slowest)
			if text := err.Error(); text != said {
				said = text
				out.Error("the journal was not cosigned", "log", log.Name, "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

package jetstream

import (
	"context"
	"fmt"
	"iter"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

func (d *docs) Watch(ctx context.Context, prefix string, after store.Rev) iter.Seq2[store.Doc, error] {
	return d.follow(ctx, prefix, after, false)
}

// follow yields what changed after a revision and, unless once, what comes.
func (d *docs) follow(ctx context.Context, prefix string, after store.Rev, once bool) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		prefix, err := store.CheckPrefix(prefix)
		if err != nil {
			yield(store.Doc{}, err)
			return
		}
		if ctx.Err() != nil {
			return
		}
		w, err := d.watcher(ctx, prefix, after)
		if err != nil {
			yield(store.Doc{}, fmt.Errorf("watch %q: %w", prefix, err))
			return
		}
		defer stop(w)
		// Who asks for all there is does not care what was deleted before.
		skip := after == 0 && !once
		for {
			select {
			case <-ctx.Done():
				return
			case e, open := <-w.Updates():
				switch {
				case !open && ctx.Err() == nil:
					yield(store.Doc{}, fmt.Errorf("watch %q: %w", prefix, store.ErrUnavailable))
					return
				case !open, e == nil && once:
					return
				case e == nil:
					skip = false
				case e.Key() == barrier: // of reads; no document
				case skip && e.Operation() != js.KeyValuePut:
				case !yield(toDoc(e), nil):
					return
				}
			}
		}
	}
}

func (d *docs) watcher(ctx context.Context, prefix string, after store.Rev) (js.KeyWatcher, error) {
	var from []js.WatchOpt
	if after > 0 {
		if err := d.reached(ctx, after); err != nil {
			return nil, err
		}
		from = append(from, js.ResumeFromRevision(uint64(after)+1))
	}
	w, err := d.kv.Watch(ctx, toNATS(prefix)+">", from...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return w, nil
}

// reached fails with ErrRewound unless the bucket has come to a revision. The
// new leader of a cluster may not have read all of its log yet, so what seems
// to be behind is asked again.
func (d *docs) reached(ctx context.Context, after store.Rev) error {
	retry := time.NewTicker(rewoundAgain)
	defer retry.Stop()
	var last uint64
	for range rewoundTries {
		i, err := d.stream.Info(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		if last = i.State.LastSeq; last >= uint64(after) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-retry.C:
		}
	}
	if d.quorum != nil { // who answered may have been cut off
		var err error
		if last, err = d.quorum.last(ctx); err != nil {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		if last > uint64(after) {
			return nil
		}
	}
	return fmt.Errorf("after %d: %w: it is at %d", after, store.ErrRewound, last)
}

const (
	rewoundAgain = 100 * time.Millisecond
	rewoundTries = 5
)

// stop ends the watcher and empties it: its callback blocks on a full channel
// and would otherwise never see that it ended.
func stop(w js.KeyWatcher) {
	if err := w.Stop(); err != nil {
		return // the connection is closed, and so is the channel
	}
	go func() {
		for range w.Updates() {
		}
	}()
}

package jetstream

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

// authority says until when the leader that answers reads is the only one.
//
// A leader that is cut off from the others goes on answering reads for some ten
// seconds, while they have a new leader and accept writes. But the others elect
// nobody within four seconds of the old leader's last word to them, and it says
// of each when it last heard from it. So what it answers within leaderLife of
// its having heard from a majority is the newest there is, if clocks run alike.
// That makes old answers rare, and not impossible: TestPartition still sees
// some, from what cause is not known.
type authority struct {
	stream   js.Stream
	conn     *nats.Conn
	replicas int

	mu    sync.Mutex
	until time.Time
	epoch uint64 // of the connection: another server may know another leader
}

const (
	leaderLife = 2500 * time.Millisecond // NATS: minElectionTimeoutDefault is 4 s
	leaderWait = 5 * time.Second         // for one to be in touch with a majority again
	leaderPoll = 50 * time.Millisecond
)

// read asks until the answer came under an authority that was known before the
// question, and not over after it.
func (a *authority) read(ctx context.Context, ask func() (store.Doc, error)) (store.Doc, error) {
	if a.replicas == 1 {
		return ask()
	}
	over := time.Now().Add(leaderWait)
	poll := time.NewTicker(leaderPoll)
	defer poll.Stop()
	for {
		err := a.refresh(ctx)
		if err == nil {
			d, err := ask()
			if a.holds() {
				return d, err
			}
		}
		if err == nil {
			continue // it was over in the meantime
		}
		if time.Now().After(over) {
			return store.Doc{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		select {
		case <-ctx.Done():
			return store.Doc{}, fmt.Errorf("%w: %w: %w", store.ErrUnavailable, err, ctx.Err())
		case <-poll.C:
		}
	}
}

func (a *authority) holds() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.epoch == a.conn.Stats().Reconnects && time.Now().Before(a.until)
}

// refresh asks the leader when it heard from the others, unless that is known.
func (a *authority) refresh(ctx context.Context) error {
	if a.holds() {
		return nil
	}
	epoch, asked := a.conn.Stats().Reconnects, time.Now()
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	i, err := a.stream.Info(ctx)
	if err != nil {
		return err
	}
	until := asked.Add(leaderLife - a.silence(i))
	if !time.Now().Before(until) {
		return fmt.Errorf("the leader is out of touch with a majority of its %d replicas", a.replicas)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.until, a.epoch = until, epoch
	return nil
}

// silence is for how long the leader has not heard from a majority, itself
// counted.
func (a *authority) silence(i *js.StreamInfo) time.Duration {
	need := a.replicas / 2
	if i.Cluster == nil || len(i.Cluster.Replicas) < need {
		return leaderLife
	}
	var heard []time.Duration
	for _, r := range i.Cluster.Replicas {
		heard = append(heard, r.Active)
	}
	slices.Sort(heard)
	return max(0, heard[need-1])
}

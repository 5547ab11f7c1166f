package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrUnsynced is wrapped when the servers of a cluster do not flush to disk
// before they acknowledge, or when that is not known.
var ErrUnsynced = errors.New("the NATS cluster may lose what it acknowledges")

// What can be proved: a server tells its system account the settings it runs
// with, sync_always among them. So one knows what each server that answers now
// says of itself. Not that it says the truth, nor that its disk does, nor what
// a server that is down will say: an offline one acknowledges nothing, and is
// asked within askEvery of its return, which is the time in which it could
// acknowledge what it has not flushed.
const (
	askEvery  = 5 * time.Second
	askLimit  = 2 * time.Second        // for the answers of all servers
	askSilent = 300 * time.Millisecond // no further answer for this long: there is none
)

// proof asks the servers again and again, until end.
type proof struct {
	waived bool // the operator said that it need not be so
	sys    *nats.Conn
	stop   context.CancelFunc
	ended  chan struct{}
}

// prove fails with ErrUnsynced unless every server that is there flushes, or
// the operator waived it.
func prove(ctx context.Context, x External, g *gate, log *slog.Logger) (*proof, error) {
	found, sys, err := firstAsk(ctx, x)
	if err == nil {
		err = found.fault()
	}
	if err != nil && sys != nil {
		defer sys.Close()
	}
	switch {
	case err != nil && !x.Unsynced:
		return nil, err
	case err != nil:
		log.Error("THE STORE MAY LOSE WRITES IT HAS ACKNOWLEDGED: you allowed it with --unsafe-nats-sync", "why", err)
		return &proof{waived: true}, nil
	}
	log.Info("the servers of the store flush before they acknowledge, by their own word", "servers", found.names(), "offline", found.missing)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &proof{sys: sys, stop: stop, ended: make(chan struct{})}
	go p.watch(ctx, g, log)
	return p, nil
}

func firstAsk(ctx context.Context, x External) (found census, sys *nats.Conn, err error) {
	if x.System == "" {
		return found, nil, fmt.Errorf("%w: nobody can ask its servers: give the credentials of its system account with --nats-system-creds", ErrUnsynced)
	}
	if sys, err = x.dial(x.System); err != nil {
		return found, nil, fmt.Errorf("system account: %w", err)
	}
	found, err = ask(ctx, sys)
	return found, sys, err
}

// end stops asking.
func (p *proof) end() {
	if p.stop == nil {
		return
	}
	p.stop()
	<-p.ended
	p.sys.Close()
}

// watch shuts the gate for as long as a server says that it does not flush.
func (p *proof) watch(ctx context.Context, g *gate, log *slog.Logger) {
	defer close(p.ended)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		found, err := ask(ctx, p.sys)
		if err != nil {
			continue // without a connection nothing is written either
		}
		err = found.fault()
		g.set(err)
		if now := fmt.Sprint(err, found.missing); now != last {
			last = now
			if err != nil {
				log.Error("writes are stopped", "why", err)
			} else {
				log.Info("the servers of the store flush before they acknowledge", "servers", found.names(), "offline", found.missing)
			}
		}
	}
}

// census is what the servers said.
type census struct {
	flushes map[string]bool // by name of server
	missing []string        // known to the others, silent
}

func (c census) names() []string { return slices.Sorted(maps.Keys(c.flushes)) }

func (c census) fault() error {
	if len(c.flushes) == 0 {
		return fmt.Errorf("%w: no server with JetStream answered its system account", ErrUnsynced)
	}
	var lax []string
	for _, name := range c.names() {
		if !c.flushes[name] {
			lax = append(lax, name)
		}
	}
	if lax != nil {
		return fmt.Errorf("%w: %s: set jetstream { sync_interval: always } there and start it again", ErrUnsynced, strings.Join(lax, ", "))
	}
	return nil
}

// answer is the part of a server's words that is of use here.
type answer struct {
	Server struct {
		Name string `json:"name"`
	} `json:"server"`
	Data struct {
		Disabled bool `json:"disabled"`
		Config   struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
		Meta struct {
			Replicas []struct {
				Name string `json:"name"`
			} `json:"replicas"`
		} `json:"meta_cluster"`
	} `json:"data"`
}

// ask collects the words of all servers until each that another one knows has
// spoken, or no more come.
func ask(ctx context.Context, sys *nats.Conn) (census, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	inbox := sys.NewRespInbox()
	sub, err := sys.SubscribeSync(inbox)
	if err != nil {
		return census{}, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sys.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox, nil); err != nil {
		return census{}, err
	}
	c := census{flushes: map[string]bool{}}
	known := map[string]bool{}
	for {
		wait, done := ctx, context.CancelFunc(func() {})
		if len(c.flushes) > 0 {
			wait, done = context.WithTimeout(ctx, askSilent)
		}
		m, err := sub.NextMsgWithContext(wait)
		done()
		if err != nil {
			break
		}
		var a answer
		if json.Unmarshal(m.Data, &a) != nil || a.Server.Name == "" || a.Data.Disabled {
			continue
		}
		c.flushes[a.Server.Name] = a.Data.Config.SyncAlways
		for _, r := range a.Data.Meta.Replicas {
			known[r.Name] = true
		}
		if c.missing = absent(known, c.flushes); len(c.missing) == 0 && len(c.flushes) > 1 {
			break
		}
	}
	return c, nil
}

func absent(known, have map[string]bool) (names []string) {
	for _, n := range slices.Sorted(maps.Keys(known)) {
		if _, ok := have[n]; !ok {
			names = append(names, n)
		}
	}
	return names
}

package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
)

// ErrExternal is wrapped when what is said of a cluster cannot be used.
var ErrExternal = errors.New("the NATS cluster cannot be used as it is described")

// External is a cluster of NATS servers that somebody else runs.
type External struct {
	Servers     []string // nats:// or tls:// URLs without passwords; a few are enough, the rest is learnt
	Credentials string   // file: a .creds file, or the seed of an NKEY; "": none
	System      string   // the same for the system account, which is asked how servers flush; "": nobody asks
	CA          string   // PEM file of those who sign the servers' certificates; "": the system's
	Replicas    int      // 1, 3 or 5
	Unsynced    bool     // run also when servers do not, or may not, flush before they acknowledge
}

// Check names the first thing that is wrong.
func (x External) Check() error {
	if len(x.Servers) == 0 {
		return fmt.Errorf("%w: no server is named", ErrExternal)
	}
	for _, s := range x.Servers {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return fmt.Errorf("%w: a server's address is no URL: want nats://host:port or tls://host:port", ErrExternal)
		case u.User != nil:
			return fmt.Errorf("%w: the address of %s holds a name or a password: put it into a credentials file", ErrExternal, u.Host)
		case u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "":
			return fmt.Errorf("%w: %q: want nats://host:port or tls://host:port", ErrExternal, s)
		}
	}
	if x.Replicas != 1 && x.Replicas != 3 && x.Replicas != 5 {
		return fmt.Errorf("%w: %d replicas: want 1, 3 or 5", ErrExternal, x.Replicas)
	}
	return nil
}

// How fast a dead connection is noticed and another server tried.
const (
	dialLimit = 2 * time.Second
	pingEvery = 2 * time.Second
	retryWait = 100 * time.Millisecond
)

// dial connects with the credentials in a file.
func (x External) dial(file string) (*nats.Conn, error) {
	opts := []nats.Option{nats.Name("cipherdeck"), noBuffer, nats.MaxReconnects(-1), nats.ReconnectWait(retryWait),
		nats.Timeout(dialLimit), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2)}
	if file != "" {
		auth, err := credentials(file)
		if err != nil {
			return nil, err
		}
		opts = append(opts, auth)
	}
	if x.CA != "" {
		opts = append(opts, nats.RootCAs(x.CA))
	}
	conn, err := nats.Connect(strings.Join(x.Servers, ","), opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(x.Servers, ", "), err)
	}
	return conn, nil
}

// credentials tells the two kinds of file apart by what is in it.
func credentials(file string) (nats.Option, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	if bytes.Contains(raw, []byte("BEGIN NATS USER JWT")) {
		return nats.UserCredentials(file), nil
	}
	opt, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds neither NATS credentials nor the seed of an NKEY", ErrExternal, file)
	}
	return opt, nil
}

// connect joins a cluster, once its servers have said that they flush and have
// elected a leader.
func (e *Engine) connect(ctx context.Context, c Config) (err error) {
	x := *c.External
	if err := x.Check(); err != nil {
		return err
	}
	e.gate = newGate("")
	if c.Dir != "" { // what else is in this folder is one process's as well
		if e.lock, err = lockDir(c.Dir); err != nil {
			return err
		}
	}
	if e.conn, err = x.dial(x.Credentials); err != nil {
		return err
	}
	if len(x.Servers) > 1 {
		e.steer.conn = e.conn
	}
	if e.proof, err = prove(ctx, x, e.gate, c.Log); err != nil {
		return err
	}
	return awaitLeader(ctx, e.conn)
}

// How long a cluster that was just started may take to elect its leader, and
// one question to it.
const (
	electionLimit = 30 * time.Second
	electionAgain = time.Second
)

// awaitLeader asks until somebody answers. A question without a leader is not
// refused but lost, so each has a short limit.
func awaitLeader(ctx context.Context, conn *nats.Conn) error {
	j, err := js.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, electionLimit)
	defer cancel()
	again := time.NewTicker(electionAgain)
	defer again.Stop()
	for {
		one, done := context.WithTimeout(ctx, electionAgain)
		_, err := j.AccountInfo(one)
		done()
		if err == nil || errors.Is(err, js.ErrJetStreamNotEnabledForAccount) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster has no leader: are most of its servers up? %w", err)
		case <-again.C:
		}
	}
}

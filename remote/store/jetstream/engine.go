// Package jetstream keeps documents and the queue in NATS JetStream: run inside
// this process, with nothing to install and no port opened, or in a cluster of
// servers that somebody else runs. The client's code is the same.
//
// What is done here on purpose, because the defaults would lose data:
//
//   - SyncAlways: the server's default flushes to disk every two minutes, and
//     a write acknowledged before that is gone after a power cut. The servers
//     of a cluster are asked whether they have it; see proof.
//   - AllowDirect is off: with it any replica answers a read, also an old one.
//   - A lost compare-and-swap has two error codes (10071 with one replica,
//     10164 with several); both are ErrConflict.
//   - The consumer's MaxAckPending is unlimited: at its default of 1000 leased
//     jobs the queue stops without a word.
//   - Writes stop before the disk is full: JetStream that meets a full disk
//     turns itself off until it is started again.
//
// One flipped bit on disk makes JetStream drop the rest of a block without an
// error (its issue 7549); this package does not notice. The documents are
// signed, so a client notices what is wrong, but not what is missing.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

// Config says where and how.
type Config struct {
	Dir      string           // of the server in this process, made if needed, readable by its owner only; one process at a time; with a cluster only locked, and may be ""
	External *External        // nil: the server in this process
	Lease    time.Duration    // how long a lease lasts without Extend
	Now      func() time.Time // nil: time.Now; only for Lease.Until
	Log      *slog.Logger     // nil: silent; never bodies

	lax bool // only in tests, which show with it what SyncAlways is for
}

// Engine is a running store.
type Engine struct {
	docs  *docs
	queue *queue
	conn  *nats.Conn
	srv   *server.Server
	lock  *os.File
	gate  *gate
	steer *steer
	proof *proof // nil with the server in this process
	ended sync.Once
}

// startLimit is how long the embedded server may take to answer: it reads all
// of its blocks first.
const startLimit = 2 * time.Minute

// answerLimit is how long one answer of a server may take where the caller's
// context sets no limit; a disk that flushes slowly needs it.
const answerLimit = 15 * time.Second

// questionLimit is how long one question may take that can be asked again: in
// a cluster without a leader it is not refused but lost.
const questionLimit = 5 * time.Second

// Open starts the engine on c.Dir, new or from before, or connects it to a
// cluster. Errors wrap store.ErrUnavailable, and ErrSettings or ErrUnsynced
// where that is the reason.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{steer: &steer{}}
	where, err := "store "+c.Dir, error(nil)
	if c.External != nil {
		where = "NATS cluster"
		err = e.connect(ctx, c)
	} else {
		err = e.embed(c)
	}
	if err == nil {
		err = e.prepare(ctx, c)
	}
	if err == nil && c.External == nil && !c.lax {
		err = flushFolders(c.Dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w: %w", where, store.ErrUnavailable, err), e.Close())
	}
	return e, nil
}

// Docs is the documents of the engine.
func (e *Engine) Docs() store.Docs { return e.docs }

// Queue is the queue of the engine.
func (e *Engine) Queue() store.Queue { return e.queue }

// Unsynced reports whether the operator let the engine run on servers that may
// lose what they acknowledged.
func (e *Engine) Unsynced() bool { return e.proof != nil && e.proof.waived }

// Close stops the engine; everything acknowledged is on disk already. The
// servers of a cluster go on.
func (e *Engine) Close() error {
	if e.queue != nil {
		e.ended.Do(func() { close(e.queue.closed) })
	}
	if e.proof != nil {
		e.proof.end()
	}
	if e.conn != nil {
		e.conn.Close()
	}
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
	}
	if e.lock != nil {
		return e.lock.Close()
	}
	return nil
}

// embed starts the server in this process and connects to it.
func (e *Engine) embed(c Config) (err error) {
	if e.lock, err = lockDir(c.Dir); err != nil {
		return err
	}
	e.gate = newGate(c.Dir)
	if e.srv, err = server.NewServer(options(c)); err != nil {
		return err
	}
	e.srv.SetLoggerV2(logger{c.Log}, false, false, false)
	e.srv.Start()
	if !e.srv.ReadyForConnections(startLimit) {
		return errors.New("the embedded server did not become ready")
	}
	e.conn, err = nats.Connect("", nats.InProcessServer(e.srv), noBuffer, nats.MaxReconnects(-1))
	return err
}

func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return lockFile(filepath.Join(dir, "lock"))
}

// noBuffer makes a write fail at once while there is no connection, instead
// of being sent at some later time.
var noBuffer = nats.ReconnectBufSize(-1)

// prepare opens the bucket and the queue.
func (e *Engine) prepare(ctx context.Context, c Config) error {
	j, err := js.New(e.conn, js.WithDefaultTimeout(answerLimit))
	if err != nil {
		return err
	}
	if e.docs, err = openDocs(ctx, j, e, "docs", c.replicas()); err != nil {
		return err
	}
	e.queue, err = openQueue(ctx, j, e, c)
	return err
}

func (c Config) replicas() int {
	if c.External == nil {
		return 1
	}
	return c.External.Replicas
}

func options(c Config) *server.Options {
	return &server.Options{
		ServerName:         "cipherdeck",
		DontListen:         true,
		JetStream:          true,
		StoreDir:           filepath.Join(c.Dir, "nats"),
		SyncAlways:         !c.lax,
		NoSigs:             true,
		NoLog:              true,
		NoSystemAccount:    false,
		MaxPayload:         1 << 20,
		JetStreamMaxMemory: 64 << 20,
		JetStreamMaxStore:  1 << 60, // the gate looks at the disk at each write; a limit set at the start would not rise when space is freed
	}
}

// logger passes the server's warnings on; its notices are of no use to us.
type logger struct{ log *slog.Logger }

func (l logger) Noticef(string, ...any)         {}
func (l logger) Debugf(string, ...any)          {}
func (l logger) Tracef(string, ...any)          {}
func (l logger) Warnf(format string, v ...any)  { l.log.Warn("store: " + fmt.Sprintf(format, v...)) }
func (l logger) Fatalf(format string, v ...any) { l.log.Error("store: " + fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any) { l.log.Error("store: " + fmt.Sprintf(format, v...)) }

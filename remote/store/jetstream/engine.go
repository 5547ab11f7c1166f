// Package jetstream keeps documents and the queue in NATS JetStream, run
// inside this process: nothing to install, no port opened.
//
// What is done here on purpose, because the defaults would lose data:
//
//   - SyncAlways: the server's default flushes to disk every two minutes, and
//     a write acknowledged before that is gone after a power cut.
//   - AllowDirect is off: with it any replica answers a read, also an old one.
//   - A lost compare-and-swap has two error codes (10071 with one replica,
//     10164 with several); both are ErrConflict.
//   - The consumer's MaxAckPending is unlimited: at its default of 1000 leased
//     jobs the queue stops without a word.
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
	Dir   string           // made if needed, readable by its owner only; one process at a time
	Lease time.Duration    // how long a lease lasts without Extend
	Now   func() time.Time // nil: time.Now; only for Lease.Until
	Log   *slog.Logger     // nil: silent; never bodies
}

// Engine is a running store.
type Engine struct {
	docs  *docs
	queue *queue
	conn  *nats.Conn
	srv   *server.Server
	lock  *os.File
	ended sync.Once
}

// startLimit is how long the embedded server may take to answer: it reads all
// of its blocks first.
const startLimit = 2 * time.Minute

// answerLimit is how long one answer of the embedded server may take where the
// caller's context sets no limit; a disk that flushes slowly needs it.
const answerLimit = 15 * time.Second

// Open starts the engine on c.Dir, new or from before. Errors wrap
// store.ErrUnavailable.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	e := &Engine{}
	if err := e.start(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w: %w", c.Dir, store.ErrUnavailable, err), e.Close())
	}
	return e, nil
}

// Docs is the documents of the engine.
func (e *Engine) Docs() store.Docs { return e.docs }

// Queue is the queue of the engine.
func (e *Engine) Queue() store.Queue { return e.queue }

// Close stops the engine; everything acknowledged is on disk already.
func (e *Engine) Close() error {
	if e.queue != nil {
		e.ended.Do(func() { close(e.queue.closed) })
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

func (e *Engine) start(ctx context.Context, c Config) (err error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	if e.lock, err = lockFile(filepath.Join(c.Dir, "lock")); err != nil {
		return err
	}
	if e.srv, err = server.NewServer(options(c.Dir)); err != nil {
		return err
	}
	if c.Log != nil {
		e.srv.SetLoggerV2(logger{c.Log}, false, false, false)
	}
	e.srv.Start()
	if !e.srv.ReadyForConnections(startLimit) {
		return errors.New("the embedded server did not become ready")
	}
	// Without a buffer for reconnecting, a write fails at once while there is
	// no connection, instead of being sent at some later time.
	e.conn, err = nats.Connect("", nats.InProcessServer(e.srv), nats.ReconnectBufSize(-1), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	j, err := js.New(e.conn, js.WithDefaultTimeout(answerLimit))
	if err != nil {
		return err
	}
	if e.docs, err = openDocs(ctx, j, e.conn, "docs"); err != nil {
		return err
	}
	e.queue, err = openQueue(ctx, j, e.conn, c)
	return err
}

func options(dir string) *server.Options {
	return &server.Options{
		ServerName:         "cipherdeck",
		DontListen:         true,
		JetStream:          true,
		StoreDir:           filepath.Join(dir, "nats"),
		SyncAlways:         true,
		NoSigs:             true,
		NoLog:              true,
		NoSystemAccount:    false,
		MaxPayload:         1 << 20,
		JetStreamMaxMemory: 64 << 20,
		JetStreamMaxStore:  0, // three quarters of the disk
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

// Package journal is a server's own transparency log: one leaf for each signed
// document that was accepted, and for each event of security.
//
// Three things lie in its directory. The leaves, one after the other in one
// file, are the order of everything; a leaf that is there has been promised.
// The tree over them, in tiles, is made from that file a moment later, and with
// it checkpoints and proofs. The bodies are the documents themselves, each under
// its tag, so that a store that lost some gets them back, and so that one can be
// forgotten without breaking the tree.
//
//	Record: leaf → leaves file, fsync → promise        (what a client waits for)
//	then:   body → its file; leaf → tree; ≤ 1 s later a checkpoint
//
// Leaves and tree hold the same bytes twice, so one flipped bit in either is
// named at the next look and mended from the other.
package journal

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// The errors of this package.
var (
	ErrDamaged  = errors.New("the journal is damaged and has no second copy of it")
	ErrNotFound = errors.New("the journal does not have it, or not yet")

	// ErrForgotten is for a body that was removed on purpose.
	ErrForgotten = fmt.Errorf("%w: it was told to forget it", ErrNotFound)
	ErrStuck     = errors.New("the journal cannot be written")
	ErrClosed    = errors.New("the journal is closed")
)

// Names in the directory of a journal.
const (
	keyFile    = "journal.key"
	saltFile   = "salt"
	leavesFile = "leaves"
	treeDir    = "tree"
	bodyDir    = "bodies"
)

// Options says how a journal runs.
type Options struct {
	Dir       string
	Origin    string // what the log is called; must never change
	Now       func() time.Time
	Log       *slog.Logger
	Within    time.Duration // what promises say; 0: 10 s
	Interval  time.Duration // of checkpoints; 0: 1 s
	Witnesses []Cosigner    // those with an address are asked for every checkpoint
	Need      int           // how many of them a checkpoint waits for, two seconds at most; 0: all
	OnDamage  func(what string)
}

// Cosigner is a witness that this log asks, or one that comes by itself.
type Cosigner struct {
	Key tlog.Key
	URL string // "": it comes by itself, see Cosigned
}

// Entry is what is recorded.
type Entry struct {
	Action string
	Object id.ID  // a tag: tlog.Tag
	Body   []byte // the signed document; nil for an event
	Actor  []byte // who; nil for the server itself. It is kept only as an HMAC
	Seq    uint64
}

// Log is an open journal. It is safe for concurrent use.
type Log struct {
	opt    Options
	signer *tlog.Signer
	salt   []byte
	bodies bodies
	spool  *spool
	tree   *tree

	mu      sync.Mutex
	index   index
	pending map[uint64][]byte // bodies that are not in their files yet
	size    uint64            // of the tree
	visits  visits

	wake chan struct{}
	jobs chan func()
	stop context.CancelFunc
	over <-chan struct{} // the grower takes no more jobs
	done sync.WaitGroup
}

// Open opens the journal in o.Dir or starts one, compares its two copies and
// mends what it can. Errors wrap ErrDamaged when it cannot.
func Open(ctx context.Context, o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Within == 0 {
		o.Within = 10 * time.Second
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	l := &Log{opt: o, index: newIndex(), pending: map[uint64][]byte{}, wake: make(chan struct{}, 1), jobs: make(chan func()), bodies: bodies{filepath.Join(o.Dir, bodyDir)}}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	key, err := loadKey(filepath.Join(o.Dir, keyFile))
	if err != nil {
		return nil, err
	}
	if l.signer, err = tlog.NewSigner(tlog.Log, o.Origin, key, o.Now); err != nil {
		return nil, err
	}
	if l.salt, err = loadSecret(filepath.Join(o.Dir, saltFile), 32); err != nil {
		return nil, err
	}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return l, l.start(ctx)
}

func (l *Log) start(ctx context.Context) (err error) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	if l.tree, err = openTree(ctx, l.opt, l.signer, filepath.Join(l.opt.Dir, treeDir)); err != nil {
		l.stop()
		return errors.Join(err, l.spool.close())
	}
	l.over = ctx.Done()
	l.done.Go(func() { l.grow(ctx) })
	l.poke()
	return nil
}

// Key is the public key of the log.
func (l *Log) Key() tlog.Key { return l.signer.Key }

// Ready says why nothing can be recorded now; nil when it can. Who asks before
// he accepts a document has none that the journal misses.
func (l *Log) Ready() error { return l.spool.failure() }

// Record puts an entry on disk and returns the signed promise that it will be
// in the tree. The same document is recorded once: its second promise is for
// the first leaf. Errors wrap ErrStuck; the entry is then written as soon as
// that is possible.
func (l *Log) Record(ctx context.Context, e Entry) ([]byte, error) {
	l.mu.Lock()
	at, known := l.index.find(e)
	if !known {
		leaf, err := l.leaf(e).Encode()
		if err != nil {
			l.mu.Unlock()
			return nil, err
		}
		if at, err = l.spool.add(leaf); err != nil {
			l.mu.Unlock()
			return nil, err
		}
		l.index.add(at, leaf)
		if e.Body != nil {
			l.pending[at] = e.Body
		}
	}
	l.mu.Unlock()
	if err := l.spool.durable(ctx, at); err != nil {
		return nil, err
	}
	l.poke()
	leaf, err := l.spool.read(at)
	if err != nil {
		return nil, err
	}
	return l.signer.Promise(leaf, l.opt.Within)
}

func (l *Log) leaf(e Entry) tlog.Leaf {
	out := tlog.Leaf{V: 1, Time: l.opt.Now().UnixMilli(), Action: e.Action, Object: e.Object, Seq: e.Seq}
	if e.Body != nil {
		out.Doc = tlog.DocTag(e.Body)
	}
	if e.Actor != nil {
		m := hmac.New(sha256.New, l.salt)
		m.Write(e.Actor)
		out.Actor = m.Sum(nil)[:16]
	}
	return out
}

// poke wakes the grower; it never waits.
func (l *Log) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close ends the journal; what was promised is in the tree when the disk allows.
func (l *Log) Close() error {
	err := l.spool.close()
	l.stop()
	l.done.Wait()
	return errors.Join(err, l.tree.close())
}

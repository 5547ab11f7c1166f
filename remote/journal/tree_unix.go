//go:build unix

package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
	"k8s.io/klog/v2"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// The library below logs to standard error by itself, through a logger that all
// of a process shares. What it has to say is in the errors too.
func init() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) }

// Times of the tree.
const (
	batchAge    = 20 * time.Millisecond
	republish   = 10 * time.Minute // so that cosignatures stay fresh
	witnessWait = 2 * time.Second
	treeDrain   = 5 * time.Second
)

// tree is the Merkle tree on disk, in tiles as C2SP tlog-tiles lays them out.
type tree struct {
	add_   tessera.AddFn
	reader tessera.LogReader
	end    func(context.Context) error
	cancel context.CancelFunc
}

func openTree(ctx context.Context, o Options, s *tlog.Signer, dir string) (*tree, error) {
	group, err := witnesses(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	driver, err := posix.New(ctx, posix.Config{Path: dir, HTTPClient: &http.Client{Timeout: witnessWait}})
	if err != nil {
		cancel()
		return nil, err
	}
	// A witness that does not answer must not stop the log: clients see that its
	// cosignature is missing, and their policy decides.
	a, end, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(s.Note()).
		WithBatching(batch, batchAge).
		WithCheckpointInterval(o.Interval).
		WithCheckpointRepublishInterval(republish).
		WithShutdownTimeout(treeDrain).
		WithWitnesses(group, &tessera.WitnessOptions{Timeout: witnessWait, FailOpen: true}))
	if err != nil {
		cancel()
		return nil, err
	}
	return &tree{add_: a.Add, reader: reader, end: end, cancel: cancel}, nil
}

func witnesses(o Options) (tessera.WitnessGroup, error) {
	var all []tessera.Witness
	for _, w := range o.Witnesses {
		if w.URL == "" {
			continue
		}
		u, err := url.Parse(w.URL)
		if err != nil {
			return tessera.WitnessGroup{}, fmt.Errorf("witness %s: %w", w.Key.Name, err)
		}
		one, err := tessera.NewWitness(w.Key.String(), u)
		if err != nil {
			return tessera.WitnessGroup{}, fmt.Errorf("witness %s: %w", w.Key.Name, err)
		}
		all = append(all, one)
	}
	g := tessera.NewWitnessGroup(o.Need)
	if o.Need == 0 {
		g.N = len(all) // wait for all that answer in time
	}
	for _, w := range all {
		g.Components = append(g.Components, w)
	}
	return g, nil
}

// add appends leaves and waits until they are in the tree; the first one has
// the number returned.
func (t *tree) add(leaves [][]byte) (uint64, error) {
	futures := make([]tessera.IndexFuture, len(leaves))
	for i, leaf := range leaves {
		futures[i] = t.add_(context.Background(), tessera.NewEntry(leaf))
	}
	var first uint64
	for i, f := range futures {
		at, err := f()
		if err != nil {
			return 0, err
		}
		if i == 0 {
			first = at.Index
		}
		if at.Index != first+uint64(i) {
			return 0, fmt.Errorf("%w: leaves came out of order", ErrDamaged)
		}
	}
	return first, nil
}

// checkpoint is the newest one.
func (t *tree) checkpoint(ctx context.Context) ([]byte, error) { return t.reader.ReadCheckpoint(ctx) }

// inclusion is the way from a leaf to the root of the tree of size.
func (t *tree) inclusion(ctx context.Context, at, size uint64) ([]id.ID, error) {
	b, err := client.NewProofBuilder(ctx, size, t.reader.ReadTile)
	if err != nil {
		return nil, err
	}
	return path(b.InclusionProof(ctx, at))
}

// consistency shows that the tree of from is a beginning of that of size.
func (t *tree) consistency(ctx context.Context, from, size uint64) ([]id.ID, error) {
	b, err := client.NewProofBuilder(ctx, size, t.reader.ReadTile)
	if err != nil {
		return nil, err
	}
	return path(b.ConsistencyProof(ctx, from, size))
}

func path(raw [][]byte, err error) ([]id.ID, error) {
	if err != nil {
		return nil, err
	}
	out := make([]id.ID, len(raw))
	for i, h := range raw {
		if out[i], err = id.FromBytes(h); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *tree) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), treeDrain)
	defer cancel()
	err := t.end(ctx)
	t.cancel()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // the next start publishes what this one did not
	}
	return err
}

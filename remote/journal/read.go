package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// MaxEntries is how many leaves one question gets.
const MaxEntries = 1000

// Proof is a leaf with the way to the root of a checkpoint.
type Proof struct {
	Index uint64
	Leaf  []byte
	Path  []id.ID
}

// Checkpoint is the newest signed state of the log, with the cosignatures that
// there are by now.
func (l *Log) Checkpoint(ctx context.Context) (tlog.Checkpoint, error) {
	raw, err := l.tree.checkpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: a checkpoint", ErrNotFound) // it was damaged, and is being signed again
	}
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	c, err := tlog.OpenCheckpoint(raw, l.signer.Key)
	if err != nil {
		return c, err
	}
	return l.attach(c), nil
}

// Newest, as a size, is that of the newest checkpoint. A client that has one
// asks for the proofs under that very one.
const Newest = 0

// sized is the newest checkpoint, and the size that proofs are wanted for.
func (l *Log) sized(ctx context.Context, size uint64) (tlog.Checkpoint, uint64, error) {
	c, err := l.Checkpoint(ctx)
	switch {
	case err != nil:
		return c, 0, err
	case size == Newest:
		return c, c.Size, nil
	case size > c.Size:
		return c, 0, fmt.Errorf("%w: a log of %d leaves; this one has %d", ErrNotFound, size, c.Size)
	}
	return c, size, nil
}

// Inclusion proves that the leaf with this hash is in the log of size. Errors
// wrap ErrNotFound, also while it is only promised.
func (l *Log) Inclusion(ctx context.Context, hash id.ID, size uint64) (Proof, tlog.Checkpoint, error) {
	c, size, err := l.sized(ctx, size)
	if err != nil {
		return Proof{}, c, err
	}
	l.mu.Lock()
	at, ok := l.index.hash[hash]
	l.mu.Unlock()
	if !ok || at >= size {
		return Proof{}, c, fmt.Errorf("%w: leaf %s", ErrNotFound, hash.Short())
	}
	p, err := l.prove(ctx, at, size, c)
	return p, c, err
}

// Object proves the newest MaxEntries leaves about an object, oldest first.
// Nothing proves that there are no others: for that, read all entries.
func (l *Log) Object(ctx context.Context, tag id.ID, size uint64) ([]Proof, tlog.Checkpoint, error) {
	c, size, err := l.sized(ctx, size)
	if err != nil {
		return nil, c, err
	}
	out := []Proof{}
	for _, at := range l.of(tag) {
		if at >= size {
			break
		}
		p, err := l.prove(ctx, at, size, c)
		if err != nil {
			return nil, c, err
		}
		out = append(out, p)
	}
	return out, c, nil
}

func (l *Log) of(tag id.ID) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.index.object[tag]
	return append([]uint64{}, all[max(0, len(all)-MaxEntries):]...)
}

// prove makes a proof and checks it: what a damaged tile would make of it must
// not reach a client, who would think that the log lies. Of an earlier size the
// root is not at hand; a client that finds a proof wrong asks again.
func (l *Log) prove(ctx context.Context, at, size uint64, c tlog.Checkpoint) (Proof, error) {
	leaf, err := l.spool.read(at)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Index: at, Leaf: leaf}
	return p, l.twice(ctx, func() error {
		if p.Path, err = l.tree.inclusion(ctx, at, size); err != nil || size != c.Size {
			return err
		}
		return c.Included(at, tlog.LeafHash(leaf), p.Path)
	})
}

// Consistency proves that the log as it was with from leaves is a beginning of
// what it is now, or was with size.
func (l *Log) Consistency(ctx context.Context, from, size uint64) ([]id.ID, tlog.Checkpoint, error) {
	c, size, err := l.sized(ctx, size)
	if err != nil {
		return nil, c, err
	}
	if from > size {
		return nil, c, fmt.Errorf("%w: a log of %d leaves; this one has %d", ErrNotFound, from, size)
	}
	if from == 0 || from == size {
		return []id.ID{}, c, nil
	}
	var p []id.ID
	err = l.twice(ctx, func() error {
		p, err = l.tree.consistency(ctx, from, size)
		return err
	})
	return p, c, err
}

// twice tries do, and once more after the tree was looked at and mended.
func (l *Log) twice(ctx context.Context, do func() error) error {
	err := do()
	if err == nil || ctx.Err() != nil {
		return err
	}
	if err := l.Verify(ctx); err != nil {
		return err
	}
	if err := do(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Entries are at most n leaves from number from on, of those under the newest
// checkpoint.
func (l *Log) Entries(ctx context.Context, from uint64, n int) ([][]byte, tlog.Checkpoint, error) {
	c, err := l.Checkpoint(ctx)
	if err != nil {
		return nil, c, err
	}
	out := [][]byte{}
	for at := from; at < c.Size && len(out) < min(n, MaxEntries); at++ {
		leaf, err := l.spool.read(at)
		if err != nil {
			return nil, c, err
		}
		out = append(out, leaf)
	}
	return out, c, nil
}

// All yields every leaf that is on disk, in order, also those that are not in
// the tree yet.
func (l *Log) All(yield func(uint64, tlog.Leaf) bool) {
	for at := range l.spool.len() {
		raw, err := l.spool.read(at)
		if err != nil {
			continue // Verify names it
		}
		leaf, err := tlog.OpenLeaf(raw)
		if err != nil {
			continue
		}
		if !yield(at, leaf) {
			return
		}
	}
}

// Has reports whether a document is recorded.
func (l *Log) Has(e Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.index.find(e)
	return ok
}

// Waiting reports whether the body of a recorded document is about to be
// written.
func (l *Log) Waiting(e Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.index.find(e)
	_, waits := l.pending[at]
	return ok && waits
}

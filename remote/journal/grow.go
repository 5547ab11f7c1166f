package journal

import (
	"context"
	"fmt"
	"time"

	"cipherdeck/crypto/tlog"
)

// batch is how many leaves go into the tree at once.
const batch = 256

// grow moves leaves from their file into the tree, in order, as long as ctx
// lives; then it moves what is left once more.
func (l *Log) grow(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			l.finish()
			return
		case job := <-l.jobs:
			job()
			continue
		case <-l.wake:
		case <-again:
		}
		again = nil
		for ctx.Err() == nil {
			more, err := l.step()
			if err != nil {
				l.opt.Log.Error("journal: the tree cannot be written", "err", err)
				again = time.After(retry)
				break
			}
			if !more {
				break
			}
		}
	}
}

// finish moves what is left.
func (l *Log) finish() {
	for {
		more, err := l.step()
		if err != nil {
			l.opt.Log.Error("journal: the last leaves are not in the tree yet; the next start puts them there", "err", err)
		}
		if err != nil || !more {
			return
		}
	}
}

// step moves at most a batch of leaves, and reports whether there were some.
func (l *Log) step() (bool, error) {
	from, n := l.treeSize(), l.spool.len()
	if from >= n {
		return false, nil
	}
	var leaves [][]byte
	for at := from; at < min(n, from+batch); at++ {
		if err := l.keep(at); err != nil {
			return false, err
		}
		leaf, err := l.spool.read(at)
		if err != nil {
			return false, err
		}
		leaves = append(leaves, leaf)
	}
	first, err := l.tree.add(leaves)
	if err != nil {
		return false, err
	}
	if first != from {
		return false, fmt.Errorf("%w: leaf %d became number %d of the tree", ErrDamaged, from, first)
	}
	l.mu.Lock()
	l.size = from + uint64(len(leaves))
	l.mu.Unlock()
	return true, nil
}

// keep writes the body of a leaf to its file.
func (l *Log) keep(at uint64) error {
	l.mu.Lock()
	body, ok := l.pending[at]
	l.mu.Unlock()
	if !ok {
		return nil
	}
	if !l.bodies.has(tlog.DocTag(body)) {
		if err := l.bodies.put(body); err != nil {
			return err
		}
	}
	l.mu.Lock()
	delete(l.pending, at)
	l.mu.Unlock()
	return nil
}

func (l *Log) treeSize() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// between runs do while the tree is not growing.
func (l *Log) between(ctx context.Context, do func()) error {
	ran := make(chan struct{})
	select {
	case l.jobs <- func() { do(); close(ran) }:
	case <-l.over:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-ran
	return nil
}

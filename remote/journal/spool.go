package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"time"

	"cipherdeck/crypto/tlog"
)

// frameHead is before each leaf: u32 length, u32 CRC-32C of the leaf.
const frameHead = 8

// retry is how long the spool waits after a write that failed.
const retry = 500 * time.Millisecond

// spool is the file of leaves. Whoever adds one waits for the disk; those who
// wait together are served by one fsync. A write that fails is tried again with
// the same leaves in the same order, since their documents are accepted.
type spool struct {
	f *os.File

	mu     sync.Mutex
	queue  [][]byte // added, not on disk
	offs   []int64  // where each durable leaf starts
	end    int64
	next   *attempt // what the queue waits for
	err    error    // of the last attempt
	closed bool

	work chan struct{}
	done chan struct{}
}

// attempt is one write of the queue.
type attempt struct {
	done chan struct{}
	err  error
}

// newSpool goes on after the leaves at offs, which end at end.
func newSpool(path string, offs []int64, end int64) (*spool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(end); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &spool{f: f, offs: offs, end: end, work: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s, nil
}

// add queues a leaf and returns its position.
func (s *spool) add(leaf []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	s.queue = append(s.queue, leaf)
	s.ask()
	return uint64(len(s.offs) + len(s.queue) - 1), nil
}

// ask makes sure that an attempt is coming; mu is held.
func (s *spool) ask() *attempt {
	if s.next == nil {
		s.next = &attempt{done: make(chan struct{})}
		select {
		case s.work <- struct{}{}:
		default:
		}
	}
	return s.next
}

// durable waits until leaf at is on disk, or until an attempt has failed.
func (s *spool) durable(ctx context.Context, at uint64) error {
	for {
		s.mu.Lock()
		if at < uint64(len(s.offs)) {
			s.mu.Unlock()
			return nil
		}
		if s.closed {
			s.mu.Unlock()
			return ErrClosed
		}
		a := s.ask()
		s.mu.Unlock()
		select {
		case <-a.done:
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if a.err != nil {
			return fmt.Errorf("%w: %w", ErrStuck, a.err)
		}
	}
}

// failure is why the last write failed; nil when it did not.
func (s *spool) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("%w: %w", ErrStuck, s.err)
	}
	return nil
}

func (s *spool) run() {
	defer close(s.done)
	for range s.work {
		s.mu.Lock()
		a, batch, end, closed := s.next, s.queue, s.end, s.closed
		s.next = nil
		s.mu.Unlock()
		if a == nil {
			if closed {
				return
			}
			continue
		}
		offs, end, err := s.write(batch, end)
		s.mu.Lock()
		a.err, s.err = err, err
		if err == nil {
			s.queue, s.end, s.offs = s.queue[len(batch):], end, append(s.offs, offs...)
		} else if !s.closed {
			time.AfterFunc(retry, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if !s.closed {
					s.ask()
				}
			})
		}
		closed = s.closed
		s.mu.Unlock()
		close(a.done)
		if closed {
			return
		}
	}
}

// write appends leaves at end and makes them durable, all or none of them.
func (s *spool) write(leaves [][]byte, end int64) (offs []int64, _ int64, err error) {
	var out []byte
	for _, leaf := range leaves {
		offs = append(offs, end+int64(len(out)))
		out = appendFrame(out, leaf)
	}
	if _, err = s.f.WriteAt(out, end); err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return nil, end, errors.Join(err, s.f.Truncate(end))
	}
	return offs, end + int64(len(out)), nil
}

// len is how many leaves are on disk.
func (s *spool) len() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.offs))
}

// read is a leaf that is on disk.
func (s *spool) read(at uint64) ([]byte, error) {
	s.mu.Lock()
	if at >= uint64(len(s.offs)) {
		s.mu.Unlock()
		return nil, ErrNotFound
	}
	off, end := s.offs[at], s.end
	if at+1 < uint64(len(s.offs)) {
		end = s.offs[at+1]
	}
	s.mu.Unlock()
	raw := make([]byte, end-off)
	if _, err := s.f.ReadAt(raw, off); err != nil {
		return nil, fmt.Errorf("%w: leaf %d: %w", ErrDamaged, at, err)
	}
	leaf, _, ok := cutFrame(raw)
	if !ok {
		return nil, fmt.Errorf("%w: leaf %d in the file of leaves", ErrDamaged, at)
	}
	return leaf, nil
}

// close writes what waits and ends the file's use for writing. It can be read
// until the process ends, so that what is promised can still be grown.
func (s *spool) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if len(s.queue) > 0 {
		s.ask()
	}
	select {
	case s.work <- struct{}{}:
	default:
	}
	s.mu.Unlock()
	<-s.done
	return s.err
}

func appendFrame(out, leaf []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(leaf)))
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(leaf, crc32.MakeTable(crc32.Castagnoli)))
	return append(out, leaf...)
}

// cutFrame takes the first leaf off raw.
func cutFrame(raw []byte) (leaf, rest []byte, ok bool) {
	if len(raw) < frameHead {
		return nil, raw, false
	}
	n := binary.BigEndian.Uint32(raw)
	if n > tlog.MaxLeaf || int(n) > len(raw)-frameHead {
		return nil, raw, false
	}
	leaf, rest = raw[frameHead:frameHead+n], raw[frameHead+n:]
	return leaf, rest, crc32.Checksum(leaf, crc32.MakeTable(crc32.Castagnoli)) == binary.BigEndian.Uint32(raw[4:])
}

package server

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/rooms"
)

// blobs are the rooms of all projects, and what is marked to go in them.
type blobs struct {
	house *rooms.House
	docs  store.Docs
	max   int64
	began time.Time

	mu   sync.Mutex
	open map[id.ID]*shelf
}

// of is the shelf of a project that exists.
func (b *blobs) of(ctx context.Context, pid id.ID) (*shelf, error) {
	inner, err := b.house.Room(pid)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	r, ok := b.open[pid]
	if !ok {
		r = &shelf{Blobs: inner}
		b.open[pid] = r
	}
	b.mu.Unlock()
	return r, r.load(ctx, b.docs, pid)
}

// has is nil when every id names a blob of the project. Whoever asks will name
// them in something that stays, so they are not collected any more.
func (b *blobs) has(ctx context.Context, pid id.ID, ids ...id.ID) error {
	r, err := b.of(ctx, pid)
	if err != nil {
		return err
	}
	r.touch(ids...)
	have, err := r.Blobs.Has(ctx, ids)
	if err != nil {
		return err
	}
	if n := slices.Index(have, false); n >= 0 {
		return invalid("blob", "blob %s is not there: upload it first", ids[n])
	}
	return nil
}

// read is a whole small blob.
func (b *blobs) read(ctx context.Context, pid, i id.ID, max int64) ([]byte, error) {
	r, err := b.of(ctx, pid)
	if err != nil {
		return nil, err
	}
	body, n, err := r.Get(ctx, i)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if n > max {
		return nil, fmt.Errorf("blob %s: %w: %d bytes, limit %d", i, store.ErrTooLarge, n, max)
	}
	return io.ReadAll(body)
}

// shelf is the blobs of a project, of which some are marked: no list of what is
// needed had them. A marked blob can be read, but who wants to rely on it is
// told that it is not there, and by putting it again takes the mark away. So
// nothing is collected that somebody has begun to use.
type shelf struct {
	store.Blobs
	collecting sync.Mutex // held by the one who collects

	mu     sync.Mutex
	loaded bool
	marks  map[id.ID]time.Time
	kept   id.ID // the blob in which the marks were saved last
}

// Has says which ids may be relied on.
func (r *shelf) Has(ctx context.Context, ids []id.ID) ([]bool, error) {
	have, err := r.Blobs.Has(ctx, ids)
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := range have {
		if _, marked := r.marks[ids[n]]; marked {
			have[n] = false
		}
	}
	return have, err
}

// Put takes the mark away before it writes: either the blob was not deleted
// yet, and will not be, or it is written anew.
func (r *shelf) Put(ctx context.Context, i id.ID, size int64, body io.Reader) error {
	r.touch(i)
	return r.Blobs.Put(ctx, i, size, body)
}

func (r *shelf) touch(ids ...id.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range ids {
		delete(r.marks, i)
	}
}

// mark notes that i was not needed at now, and says since when it is not.
func (r *shelf) mark(i id.ID, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since, marked := r.marks[i]; marked {
		return since
	}
	r.marks[i] = now
	return now
}

// since is when i was marked; now when it is not.
func (r *shelf) since(i id.ID, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since, marked := r.marks[i]; marked {
		return since
	}
	return now
}

// sweep deletes i if it is still marked. The lock is held meanwhile, so that no
// Put of the same blob comes in between.
func (r *shelf) sweep(ctx context.Context, i id.ID) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, marked := r.marks[i]; !marked {
		return false, nil
	}
	if err := r.Blobs.Delete(ctx, i); err != nil {
		return false, err
	}
	delete(r.marks, i)
	return true, nil
}

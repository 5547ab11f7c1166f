package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// collection is what is kept of the last collection of a project: the owner's
// signed word for it, and the blob of the marks, 32 bytes of id and 8 of Unix
// milliseconds each.
type collection struct {
	V     uint8  `cbor:"1,keyasint"`
	Live  []byte `cbor:"2,keyasint"` // doc.Signed of a chain.Live
	Marks id.ID  `cbor:"3,keyasint"`
}

const markSize = id.Size + 8

func collectKey(pid id.ID) string { return "collect/" + pid.String() }

// load reads the marks that an earlier process saved.
func (r *shelf) load(ctx context.Context, docs store.Docs, pid id.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loaded {
		return nil
	}
	marks, kept, err := savedMarks(ctx, docs, r.Blobs, pid)
	if err != nil {
		return fmt.Errorf("marks of %s: %w", pid.Short(), err)
	}
	r.marks, r.kept, r.loaded = marks, kept, true
	return nil
}

// savedMarks are the marks of the last collection. When their blob is lost or
// damaged there are none: that costs another grace, and no blob.
func savedMarks(ctx context.Context, docs store.Docs, blobs store.Blobs, pid id.ID) (map[id.ID]time.Time, id.ID, error) {
	marks := map[id.ID]time.Time{}
	d, err := docs.Get(ctx, collectKey(pid))
	if errors.Is(err, store.ErrNotFound) {
		return marks, id.ID{}, nil
	}
	if err != nil {
		return nil, id.ID{}, err
	}
	var c collection
	if err := doc.Decode(d.Body, &c); err != nil {
		return nil, id.ID{}, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	body, _, err := blobs.Get(ctx, c.Marks)
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(body)
		err = errors.Join(err, body.Close())
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return marks, c.Marks, nil
	}
	if err != nil {
		return nil, id.ID{}, err
	}
	for ; len(raw) >= markSize; raw = raw[markSize:] {
		marks[id.ID(raw[:id.Size])] = time.UnixMilli(int64(binary.BigEndian.Uint64(raw[id.Size:markSize])))
	}
	return marks, c.Marks, nil
}

// save keeps the marks, as many as one blob holds: the others are made again.
func (r *shelf) save(ctx context.Context, docs store.Docs, pid id.ID, live []byte, max int64) error {
	r.mu.Lock()
	ids := slices.SortedFunc(maps.Keys(r.marks), id.Compare)
	ids = ids[:min(int64(len(ids)), max/markSize)]
	raw := make([]byte, 0, len(ids)*markSize)
	for _, i := range ids {
		raw = binary.BigEndian.AppendUint64(append(raw, i[:]...), uint64(r.marks[i].UnixMilli()))
	}
	old := r.kept
	r.mu.Unlock()

	name := id.Of(raw)
	if err := r.Blobs.Put(ctx, name, int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return err
	}
	body, err := doc.Encode(collection{V: 1, Live: live, Marks: name})
	if err != nil {
		return err
	}
	if err := replace(ctx, docs, collectKey(pid), body); err != nil {
		return err
	}
	r.mu.Lock()
	r.kept = name
	r.mu.Unlock()
	if old.IsZero() || old == name {
		return nil
	}
	return r.Blobs.Delete(ctx, old)
}

// replace writes a document of which only the newest counts.
func replace(ctx context.Context, docs store.Docs, key string, body []byte) error {
	for {
		d, err := docs.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err = docs.Put(ctx, key, body, d.Rev); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Package ipfs keeps blobs as raw blocks of an IPFS daemon (kubo), by its RPC:
// the CIDv1 of a block is the text of its id, here and everywhere.
//
// Which blobs are whose is kept in the daemon's own tree of files (MFS), at
// /cipherdeck/NAME/CID; what is named there the daemon's garbage collection
// leaves alone. Delete takes the name away; the bytes go when the daemon
// collects, and copies that other nodes fetched stay for ever.
//
// A daemon that is part of the public network tells it which blocks it has, so
// that their existence and size are public, and anybody may fetch ciphertext.
// Run it offline or in a private network unless that is what you want.
//
// Blocks over 1 MiB, of which a piece may be, are kept and served well, but
// other nodes do not exchange those over 2 MiB.
package ipfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// parallel is how many questions are on their way at a time.
const parallel = 16

// Blobs is the blobs below one name.
type Blobs struct {
	n   *Node
	dir string
	max int64
}

var _ store.Blobs = (*Blobs)(nil)

// Blobs is the blobs below name, of at most max bytes each.
func (n *Node) Blobs(name string, max int64) *Blobs {
	return &Blobs{n: n, dir: "/cipherdeck/" + name, max: max}
}

// Has says which ids are there. It does not read them.
func (b *Blobs) Has(ctx context.Context, ids []id.ID) ([]bool, error) {
	return store.HasEach(ids, parallel, func(i id.ID) error {
		_, err := b.stat(ctx, i)
		return err
	})
}

// stat is the size of a blob that is named here.
func (b *Blobs) stat(ctx context.Context, i id.ID) (int64, error) {
	var s struct{ Size int64 }
	err := b.n.call(ctx, "files/stat", url.Values{"arg": {b.path(i)}}, nil, 0, &s)
	return s.Size, err
}

// Put reads exactly size bytes named i, checks them, and sends them. A block
// that is there is read: the daemon would not write over a damaged one.
func (b *Blobs) Put(ctx context.Context, i id.ID, size int64, r io.Reader) error {
	body, err := store.Whole(ctx, i, size, b.max, r)
	if err == nil {
		err = b.heal(ctx, i)
	}
	if err == nil {
		err = b.put(ctx, i, body)
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	return nil
}

func (b *Blobs) put(ctx context.Context, i id.ID, body []byte) error {
	var made struct{ Key string }
	q := url.Values{"cid-codec": {"raw"}, "mhtype": {"sha2-256"}, "allow-big-block": {"true"}}
	if err := b.n.call(ctx, "block/put", q, body, 0, &made); err != nil {
		return err
	}
	if made.Key != i.String() {
		return fmt.Errorf("%w: the daemon calls it %.80q", store.ErrUnavailable, made.Key)
	}
	q = url.Values{"arg": {"/ipfs/" + i.String(), b.path(i)}, "parents": {"true"}}
	if err := b.n.call(ctx, "files/cp", q, nil, 0, nil); !errors.Is(err, errThere) {
		return err
	}
	return nil
}

// heal removes a block that is there and damaged.
func (b *Blobs) heal(ctx context.Context, i id.ID) error {
	if _, err := b.stat(ctx, i); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}
	if _, err := b.read(ctx, i); !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return b.n.call(ctx, "block/rm", url.Values{"arg": {i.String()}, "force": {"true"}}, nil, 0, nil)
}

func (b *Blobs) read(ctx context.Context, i id.ID) (*bytes.Buffer, error) {
	var body bytes.Buffer
	if err := b.n.call(ctx, "block/get", url.Values{"arg": {i.String()}}, nil, b.max, &body); err != nil {
		return nil, err
	}
	if id.Of(body.Bytes()) != i {
		return nil, fmt.Errorf("%w: its hash is another", store.ErrCorrupt)
	}
	return &body, nil
}

// Get reads the blob, if it is named here, and checks it.
func (b *Blobs) Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error) {
	_, err := b.stat(ctx, i)
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s: %w", i, err)
	}
	body, err := b.read(ctx, i)
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s: %w", i, err)
	}
	return io.NopCloser(body), int64(body.Len()), nil
}

// Delete takes the name away. See the package's words on what becomes of the bytes.
func (b *Blobs) Delete(ctx context.Context, i id.ID) error {
	err := b.n.call(ctx, "files/rm", url.Values{"arg": {b.path(i)}}, nil, 0, nil)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	return nil
}

// List names what is there; the daemon does not note since when.
func (b *Blobs) List(ctx context.Context) iter.Seq2[store.BlobInfo, error] {
	return func(yield func(store.BlobInfo, error) bool) {
		var l struct {
			Entries []struct {
				Name string
				Size int64
			}
		}
		err := b.n.call(ctx, "files/ls", url.Values{"arg": {b.dir}, "long": {"true"}}, nil, 0, &l)
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if err != nil {
			yield(store.BlobInfo{}, fmt.Errorf("list blobs: %w", err))
			return
		}
		for _, e := range l.Entries {
			if i, err := id.Parse(e.Name); err == nil && !yield(store.BlobInfo{ID: i, Size: e.Size}, nil) {
				return
			}
		}
	}
}

func (b *Blobs) path(i id.ID) string { return b.dir + "/" + i.String() }

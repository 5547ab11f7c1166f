// Package mem keeps everything of a store in memory and loses it at exit. It
// is the plainest reading of the interfaces, against which the conformance
// suite and the durable engines are compared; tests and dry runs use it.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"cipherdeck/remote/store"
)

// Docs is documents in memory. The zero value is not usable: see NewDocs.
type Docs struct {
	mu      sync.Mutex
	docs    map[string]store.Doc
	last    store.Rev
	changed chan struct{} // closed and replaced at every change
	log     []store.Doc   // every change, for watchers; the n-th has revision n+1
}

var _ store.Docs = (*Docs)(nil)

// NewDocs is an empty set of documents.
func NewDocs() *Docs {
	return &Docs{docs: map[string]store.Doc{}, changed: make(chan struct{})}
}

// Get returns the document at key.
func (d *Docs) Get(ctx context.Context, key string) (store.Doc, error) {
	if err := begin(ctx, key); err != nil {
		return store.Doc{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	got, ok := d.docs[key]
	if !ok {
		return store.Doc{}, fmt.Errorf("document %s: %w", key, store.ErrNotFound)
	}
	got.Body = bytes.Clone(got.Body)
	return got, nil
}

// Put writes body if the revision of key is prev.
func (d *Docs) Put(ctx context.Context, key string, body []byte, prev store.Rev) (store.Rev, error) {
	if err := begin(ctx, key); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if have := d.docs[key].Rev; have != prev {
		return 0, fmt.Errorf("document %s is at revision %d, not %d: %w", key, have, prev, store.ErrConflict)
	}
	d.last++
	doc := store.Doc{Key: key, Rev: d.last, Body: bytes.Clone(body)}
	d.docs[key] = doc
	d.tell(doc)
	return d.last, nil
}

// Delete removes key if its revision is prev.
func (d *Docs) Delete(ctx context.Context, key string, prev store.Rev) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	have, ok := d.docs[key]
	if !ok {
		return fmt.Errorf("document %s: %w", key, store.ErrNotFound)
	}
	if have.Rev != prev {
		return fmt.Errorf("document %s is at revision %d, not %d: %w", key, have.Rev, prev, store.ErrConflict)
	}
	d.last++
	delete(d.docs, key)
	d.tell(store.Doc{Key: key, Rev: d.last, Gone: true})
	return nil
}

// List yields the documents below prefix as they are now.
func (d *Docs) List(ctx context.Context, prefix string) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		prefix, err := store.CheckPrefix(prefix)
		if err != nil {
			yield(store.Doc{}, err)
			return
		}
		found, _, _, _ := d.snapshot(prefix, 0)
		for _, doc := range found {
			if err := ctx.Err(); err != nil {
				yield(store.Doc{}, err)
				return
			}
			if !yield(doc, nil) {
				return
			}
		}
	}
}

// Watch yields what is below prefix, or what changed after a revision, then
// every change.
func (d *Docs) Watch(ctx context.Context, prefix string, after store.Rev) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		prefix, err := store.CheckPrefix(prefix)
		if err != nil {
			yield(store.Doc{}, err)
			return
		}
		news, at, changed, err := d.snapshot(prefix, after)
		if err != nil {
			yield(store.Doc{}, err)
			return
		}
		for {
			for _, doc := range news {
				if ctx.Err() != nil || !yield(doc, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			news, at, changed = d.since(prefix, at)
		}
	}
}

func (d *Docs) snapshot(prefix string, after store.Rev) ([]store.Doc, int, chan struct{}, error) {
	if after > 0 {
		return d.resume(prefix, after)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []store.Doc
	for key, doc := range d.docs {
		if strings.HasPrefix(key, prefix) {
			found = append(found, doc)
		}
	}
	slices.SortFunc(found, func(a, b store.Doc) int { return strings.Compare(a.Key, b.Key) })
	return found, len(d.log), d.changed, nil
}

func (d *Docs) resume(prefix string, after store.Rev) ([]store.Doc, int, chan struct{}, error) {
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	if after > last {
		return nil, 0, nil, fmt.Errorf("watch %q after %d: %w: it is at %d", prefix, after, store.ErrRewound, last)
	}
	news, at, changed := d.since(prefix, int(after))
	return news, at, changed, nil
}

func (d *Docs) since(prefix string, at int) ([]store.Doc, int, chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var news []store.Doc
	for _, doc := range d.log[at:] {
		if strings.HasPrefix(doc.Key, prefix) {
			news = append(news, doc)
		}
	}
	return news, len(d.log), d.changed
}

func (d *Docs) tell(doc store.Doc) {
	d.log = append(d.log, doc)
	close(d.changed)
	d.changed = make(chan struct{})
}

func begin(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return store.CheckKey(key)
}

package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

// docs is one key-value bucket. A key's "/" is a "." in the bucket, where it
// separates what wildcards match; no other byte needs a change. The revision
// is the sequence of the stream below, so none is used twice.
type docs struct {
	kv     js.KeyValue
	stream js.Stream
	conn   *nats.Conn
	gate   *gate
	quorum *quorum       // nil with one replica, whose word is enough
	marker time.Duration // how long the marker of a deletion stays; without an end, logins would fill the disk
}

var _ store.Docs = (*docs)(nil)

// openDocs makes the bucket as a stream, since the bucket's own constructor
// always sets AllowDirect.
func openDocs(ctx context.Context, j js.JetStream, e *Engine, bucket string, replicas int) (*docs, error) {
	s, err := ensure(ctx, j, js.StreamConfig{
		Name:              "KV_" + bucket,
		Subjects:          []string{"$KV." + bucket + ".>"},
		Storage:           js.FileStorage,
		Replicas:          replicas,
		Discard:           js.DiscardNew,
		MaxMsgsPerSubject: 1,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowDirect:       false,
		AllowMsgTTL:       true,
	})
	if err != nil {
		return nil, err
	}
	kv, err := j.KeyValue(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	d := &docs{kv: kv, stream: s, conn: e.conn, gate: e.gate, marker: store.MarkerLife}
	if replicas > 1 {
		d.quorum = &quorum{js: j, stream: s, conn: e.conn, steer: e.steer, prefix: "$KV." + bucket + "."}
	}
	return d, nil
}

func (d *docs) Get(ctx context.Context, key string) (store.Doc, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Doc{}, err
	}
	e, err := d.read(ctx, key)
	if err == nil && e.gone {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Doc{}, fmt.Errorf("document %s: %w", key, err)
	}
	return store.Doc{Key: key, Rev: store.Rev(e.rev), Body: e.body}, nil
}

func (d *docs) read(ctx context.Context, key string) (entry, error) {
	if d.quorum != nil {
		return d.quorum.read(ctx, key)
	}
	e, err := d.kv.Get(ctx, toNATS(key))
	if errors.Is(err, js.ErrKeyNotFound) {
		return entry{gone: true}, nil
	}
	if err != nil {
		return entry{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return entry{rev: e.Revision(), body: e.Value()}, nil
}

func (d *docs) Put(ctx context.Context, key string, body []byte, prev store.Rev) (store.Rev, error) {
	if err := d.writable(ctx, key); err != nil {
		return 0, err
	}
	rev, err := d.put(ctx, key, body, uint64(prev))
	if err != nil {
		return 0, fmt.Errorf("document %s: %w", key, err)
	}
	return store.Rev(rev), nil
}

func (d *docs) put(ctx context.Context, key string, body []byte, prev uint64) (rev uint64, err error) {
	switch {
	case d.quorum != nil:
		return d.quorum.write(ctx, key, prev, func() *nats.Msg { return &nats.Msg{Data: body, Header: nats.Header{}} })
	case prev == 0:
		rev, err = d.kv.Create(ctx, toNATS(key), body)
	default:
		rev, err = d.kv.Update(ctx, toNATS(key), body, prev)
	}
	return rev, classify(err)
}

func (d *docs) Delete(ctx context.Context, key string, prev store.Rev) error {
	if err := d.writable(ctx, key); err != nil {
		return err
	}
	// The bucket would take revision 0 for "any", and it puts a marker over a
	// key that is not there.
	have, err := d.Get(ctx, key)
	if err != nil {
		return err
	}
	if have.Rev != prev {
		return fmt.Errorf("document %s is at revision %d, not %d: %w", key, have.Rev, prev, store.ErrConflict)
	}
	if err := d.remove(ctx, key, uint64(prev)); err != nil {
		return fmt.Errorf("document %s: %w", key, err)
	}
	return nil
}

func (d *docs) remove(ctx context.Context, key string, prev uint64) error {
	if d.quorum == nil {
		return classify(d.kv.Purge(ctx, toNATS(key), js.LastRevision(prev), js.PurgeTTL(d.marker)))
	}
	_, err := d.quorum.write(ctx, key, prev, func() *nats.Msg {
		return &nats.Msg{Header: nats.Header{
			operation:       {purge},
			js.MsgRollup:    {js.MsgRollupSubject},
			js.MsgTTLHeader: {d.marker.String()},
		}}
	})
	return err
}

func (d *docs) List(ctx context.Context, prefix string) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		found := map[string]store.Doc{}
		for doc, err := range d.follow(ctx, prefix, 0, true) {
			if err != nil {
				yield(store.Doc{}, err)
				return
			}
			found[doc.Key] = doc // a document that changes meanwhile may come twice
			if doc.Gone {
				delete(found, doc.Key)
			}
		}
		if err := ctx.Err(); err != nil {
			yield(store.Doc{}, err)
			return
		}
		keys := make([]string, 0, len(found))
		for k := range found {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if !yield(found[k], nil) {
				return
			}
		}
	}
}

func (d *docs) writable(ctx context.Context, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.conn.IsClosed() {
		return fmt.Errorf("document %s: %w: closed", key, store.ErrUnavailable)
	}
	return d.gate.open()
}

// classify names the outcome of a failed write. An answer of the server is an
// outcome; silence is not.
func classify(err error) error {
	var api *js.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, js.ErrKeyRevisionMismatch), errors.Is(err, js.ErrKeyExists):
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	case errors.As(err, &api) && (api.ErrorCode == js.JSErrCodeStreamWrongLastSequence || api.ErrorCode == js.JSErrCodeStreamWrongLastSequenceConstant):
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	case errors.As(err, &api), errors.Is(err, js.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, nats.ErrReconnectBufExceeded): // it was not sent
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	default:
		return fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
}

func toDoc(e js.KeyValueEntry) store.Doc {
	key := strings.ReplaceAll(e.Key(), ".", "/")
	if e.Operation() != js.KeyValuePut {
		return store.Doc{Key: key, Rev: store.Rev(e.Revision()), Gone: true}
	}
	return store.Doc{Key: key, Rev: store.Rev(e.Revision()), Body: e.Value()}
}

func toNATS(key string) string { return strings.ReplaceAll(key, "/", ".") }

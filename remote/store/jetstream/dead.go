package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"cipherdeck/crypto/doc"
	"cipherdeck/remote/store"
)

// What was given up is a document of the bucket of leases, below "dead": its
// key has two segments more than any job's.

func deadKey(class, job string) string { return "dead/" + class + "/" + job }

// Bury writes the job down before it leaves the stream. After a crash between
// the two it is handed out once more, and buried again.
func (q *queue) Bury(ctx context.Context, l store.Lease, why string) error {
	rec, _, err := q.held(ctx, l)
	if err != nil {
		return err
	}
	if rec.Class == "" {
		return fmt.Errorf("bury %s: %w: its lease is of an older version: lease it again", l.Job, store.ErrLease)
	}
	body, err := doc.Encode(record{Attempt: rec.Attempt, Why: why, Class: rec.Class})
	if err != nil {
		return err
	}
	key := deadKey(rec.Class, l.Job)
	for {
		old, err := q.records.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err = q.records.Put(ctx, key, body, old.Rev); err == nil {
			return q.Done(ctx, l)
		} else if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// revive forgets that a job was given up, when it is enqueued anew.
func (q *queue) revive(ctx context.Context, class, job string) error {
	key := deadKey(class, job)
	old, err := q.records.Get(ctx, key)
	if err == nil {
		err = q.records.Delete(ctx, key, old.Rev)
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return nil // it never died, or another one was faster
	}
	return err
}

func (q *queue) Dead(ctx context.Context, class string) iter.Seq2[store.DeadJob, error] {
	return func(yield func(store.DeadJob, error) bool) {
		if err := checkName(class); err != nil {
			yield(store.DeadJob{}, err)
			return
		}
		prefix := deadKey(class, "")
		for d, err := range q.records.List(ctx, prefix) {
			if err != nil {
				yield(store.DeadJob{}, err)
				return
			}
			j, err := toDead(strings.TrimPrefix(d.Key, prefix), d.Body)
			if !yield(j, err) || err != nil {
				return
			}
		}
	}
}

func toDead(job string, body []byte) (store.DeadJob, error) {
	var rec record
	if err := doc.Decode(body, &rec); err != nil {
		return store.DeadJob{}, fmt.Errorf("dead job %s: %w: %w", job, store.ErrCorrupt, err)
	}
	return store.DeadJob{Job: job, Attempt: rec.Attempt, Why: rec.Why}, nil
}

package jetstream

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/remote/store"
)

// record is who holds a job.
type record struct {
	Token   string `cbor:"1,keyasint"` // "" after Retry
	Reply   string `cbor:"2,keyasint"` // the subject on which the stream waits for an acknowledgement
	Attempt int    `cbor:"3,keyasint"`
	Why     string `cbor:"4,keyasint"` // of the last Retry
	Class   string `cbor:"5,keyasint,omitempty"`
}

// held is the record of a job whose holder is l.
func (q *queue) held(ctx context.Context, l store.Lease) (record, store.Rev, error) {
	rec, rev, err := q.read(ctx, l.Job)
	if err != nil {
		return rec, rev, err
	}
	if !same(rec.Token, l.Token) {
		return rec, rev, fmt.Errorf("job %s: %w", l.Job, store.ErrLease)
	}
	return rec, rev, nil
}

func (q *queue) read(ctx context.Context, job string) (rec record, rev store.Rev, err error) {
	d, err := q.records.Get(ctx, job)
	if errors.Is(err, store.ErrNotFound) {
		return rec, 0, nil
	}
	if err != nil {
		return rec, 0, err
	}
	if err := doc.Decode(d.Body, &rec); err != nil {
		return rec, 0, fmt.Errorf("lease record of %s: %w: %w", job, store.ErrCorrupt, err)
	}
	return rec, d.Rev, nil
}

// change writes the record of a job by compare-and-swap until it succeeds.
func (q *queue) change(ctx context.Context, job string, edit func(*record) error) (record, error) {
	for {
		rec, rev, err := q.read(ctx, job)
		if err != nil {
			return rec, err
		}
		if err := edit(&rec); err != nil {
			return rec, err
		}
		body, err := doc.Encode(rec)
		if err != nil {
			return rec, err
		}
		if _, err = q.records.Put(ctx, job, body, rev); !errors.Is(err, store.ErrConflict) {
			return rec, err
		}
	}
}

func same(have, given string) bool {
	return have != "" && subtle.ConstantTimeCompare([]byte(have), []byte(given)) == 1
}

package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// record is what is kept of a job. It is the truth about it; the queue only
// wakes a node up, and a message lost or doubled there costs time.
type record struct {
	V         uint8        `cbor:"1,keyasint"`
	Raw       []byte       `cbor:"2,keyasint"` // doc.Signed of a job.JobDoc
	Author    chain.UID    `cbor:"3,keyasint"`
	Node      chain.UID    `cbor:"4,keyasint"` // whom the grant names
	State     api.JobState `cbor:"5,keyasint"`
	Attempt   int          `cbor:"6,keyasint"` // leases so far, those given back not counted
	Until     int64        `cbor:"7,keyasint"` // end of the lease, Unix milliseconds
	Done      int64        `cbor:"8,keyasint"`
	Total     int64        `cbor:"9,keyasint"`
	Phase     string       `cbor:"10,keyasint"`
	Result    []byte       `cbor:"11,keyasint"`
	Reason    string       `cbor:"12,keyasint"`
	Submitted int64        `cbor:"13,keyasint"` // Unix milliseconds
}

// jobName names a job in the store and in the queue.
type jobName struct{ project, job id.ID }

func (n jobName) key() string   { return jobKeys(n.project) + "/" + n.job.String() }
func (n jobName) queue() string { return n.project.String() + "_" + n.job.String() }

func jobKeys(pid id.ID) string { return "jobs/" + pid.String() }

// parseName reads what key or queue writes.
func parseName(s string) (n jobName, err error) {
	a, b, _ := strings.Cut(strings.Replace(strings.TrimPrefix(s, "jobs/"), "/", "_", 1), "_")
	if n.project, err = id.Parse(a); err != nil {
		return n, fmt.Errorf("job %q: %w", s, store.ErrCorrupt)
	}
	if n.job, err = id.Parse(b); err != nil {
		return n, fmt.Errorf("job %q: %w", s, store.ErrCorrupt)
	}
	return n, nil
}

func (r *record) end() time.Time { return time.UnixMilli(r.Until) }

// doc is the job document, which was verified when it was handed in.
func (r *record) doc() (j job.JobDoc, err error) {
	var s doc.Signed
	if err := doc.Decode(r.Raw, &s); err != nil {
		return j, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	if err := doc.Decode(s.Body, &j); err != nil {
		return j, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return j, nil
}

func (r *record) status(n jobName, rev store.Rev) api.JobStatus {
	return api.JobStatus{
		ID: n.job, Project: n.project, State: r.State, Node: r.Node, Attempt: r.Attempt,
		Done: r.Done, Total: r.Total, Phase: r.Phase, Reason: r.Reason,
		Submitted: r.Submitted, Result: r.Result, Rev: uint64(rev),
	}
}

// records are the jobs in the store.
type records struct{ docs store.Docs }

func (s records) get(ctx context.Context, n jobName) (r record, rev store.Rev, err error) {
	d, err := s.docs.Get(ctx, n.key())
	if err != nil {
		return r, 0, err
	}
	r, err = parseRecord(d)
	return r, d.Rev, err
}

func parseRecord(d store.Doc) (r record, err error) {
	if err := doc.Decode(d.Body, &r); err != nil {
		return r, fmt.Errorf("%s: %w: %w", d.Key, store.ErrCorrupt, err)
	}
	return r, nil
}

// create writes a new record; store.ErrConflict when there is one.
func (s records) create(ctx context.Context, n jobName, r record) error {
	body, err := doc.Encode(r)
	if err != nil {
		return err
	}
	_, err = s.docs.Put(ctx, n.key(), body, 0)
	return err
}

// change edits a record by compare-and-swap until nobody else was faster.
func (s records) change(ctx context.Context, n jobName, edit func(*record) error) (record, error) {
	for {
		r, rev, err := s.get(ctx, n)
		if err != nil {
			return r, err
		}
		if err := edit(&r); err != nil {
			return r, err
		}
		body, err := doc.Encode(r)
		if err != nil {
			return r, err
		}
		if _, err = s.docs.Put(ctx, n.key(), body, rev); !errors.Is(err, store.ErrConflict) {
			return r, err
		}
	}
}

// leases says who holds a lease now, so that a node may reach the blobs of a
// project while it works for it and not after. It is computed from the records.
type leases struct {
	mu   sync.Mutex
	held map[jobName]holder
}

type holder struct {
	node  chain.UID
	until time.Time
}

func (l *leases) note(n jobName, node chain.UID, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[n] = holder{node, until}
}

func (l *leases) drop(n jobName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, n)
}

// holds reports whether node works for the project now.
func (l *leases) holds(node chain.UID, project id.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, h := range l.held {
		if n.project == project && h.node == node && now.Before(h.until) {
			return true
		}
	}
	return false
}

// over lists the leases that have ended.
func (l *leases) over(now time.Time) []jobName {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []jobName
	for n, h := range l.held {
		if !now.Before(h.until) {
			names = append(names, n)
		}
	}
	return names
}

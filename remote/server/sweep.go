package server

import (
	"context"
	"errors"

	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// recover reads every job once, before the server listens: who holds a lease,
// and what has to be in the queue. A crash between writing a record and its
// message leaves a job that nobody would ever be woken for.
func (j *jobs) recover(ctx context.Context) error {
	for d, err := range j.records.docs.List(ctx, "jobs") {
		if err != nil {
			return err
		}
		n, err := parseName(d.Key)
		if err != nil {
			return err
		}
		r, err := parseRecord(d)
		if err != nil {
			return err
		}
		switch r.State {
		case api.JobLeased:
			j.leases.note(n, r.Node, r.end())
		case api.JobQueued:
		default:
			continue
		}
		if err := j.queue.Enqueue(ctx, r.Node.String(), n.queue()); err != nil {
			return err
		}
	}
	return nil
}

// sweep says of every lease that has ended that it did, so that who waits for
// the job learns it, and a job that failed too often is given up also when no
// node ever comes back for it.
func (j *jobs) sweep(ctx context.Context) error {
	var all error
	for _, n := range j.leases.over(j.now()) {
		_, err := j.records.change(ctx, n, func(r *record) error {
			if r.State != api.JobLeased || j.now().Before(r.end()) {
				return errSettled
			}
			if r.Attempt >= j.attempts {
				r.fail(j.hopeless(ctx, n, r))
				return nil
			}
			r.State, r.Reason, r.Until = api.JobQueued, expired(r.Attempt), 0
			return nil
		})
		switch {
		case errors.Is(err, errSettled): // extended, or ended by its node
			if r, _, err := j.records.get(ctx, n); err == nil && r.State == api.JobLeased {
				j.leases.note(n, r.Node, r.end())
				continue
			}
			j.leases.drop(n)
		case err == nil, errors.Is(err, store.ErrNotFound):
			j.leases.drop(n)
		default:
			all = errors.Join(all, err)
		}
	}
	return all
}

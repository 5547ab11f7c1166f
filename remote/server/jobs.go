package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cipherdeck/attest/grant"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// jobs is the life of a job:
//
//	queued → leased → done
//	   ↑       ↓ ↘
//	   └───────┘  failed      by the node's word, or after too many leases
type jobs struct {
	records  records
	queue    store.Queue
	leases   *leases
	accounts *accounts
	projects *projects
	blobs    *blobs
	hub      *hub
	attempts int
	length   time.Duration
	now      func() time.Time
}

// submit takes a signed job document of author in the project s.
func (j *jobs) submit(ctx context.Context, s *chain.State, author *chain.Account, raw []byte) (id.ID, error) {
	var d job.JobDoc
	signed, name, err := doc.Open(raw, job.DocType, job.MaxDoc, author.Keys())
	if err != nil {
		return id.ID{}, err
	}
	if err := doc.Decode(signed.Body, &d); err != nil {
		return id.ID{}, err
	}
	node, err := j.check(ctx, s, d)
	if err != nil {
		return id.ID{}, err
	}
	n := jobName{s.Project, name}
	err = j.records.create(ctx, n, record{V: 1, Raw: raw, Author: author.UID, Node: node, State: api.JobQueued,
		Result: []byte{}, Submitted: j.now().UnixMilli()})
	if errors.Is(err, store.ErrConflict) {
		return name, nil // handed in before
	}
	if err != nil {
		return id.ID{}, err
	}
	return name, j.queue.Enqueue(ctx, node.String(), n.queue())
}

// check holds a job document against the project and finds its node.
func (j *jobs) check(ctx context.Context, s *chain.State, d job.JobDoc) (chain.UID, error) {
	switch {
	case d.V != 1:
		return chain.UID{}, invalid("v", "version %d, want 1", d.V)
	case d.Project != s.Project:
		return chain.UID{}, invalid("project", "the document is for %s", d.Project)
	case d.NotAfter <= j.now().Unix():
		return chain.UID{}, invalid("not_after", "the job has ended already")
	}
	g, ok := s.Grants[d.Grant]
	if !ok {
		return chain.UID{}, invalid("grant", "%s grants nothing now", d.Grant.Short())
	}
	if _, err := s.GrantFor(d.Grant, g.Node.UID, j.now()); err != nil {
		return chain.UID{}, invalid("grant", "%v", err)
	}
	switch {
	case len(g.Key) == 0 && len(d.Release) > 0:
		return chain.UID{}, invalid("release", "grant %s is for no key of a machine", d.Grant.Short())
	case len(g.Key) > 0 && len(d.Release) != grant.SealedSize:
		return chain.UID{}, invalid("release", "%d bytes; grant %s is for a key of a machine, and wants the job's key sealed to it, %d bytes", len(d.Release), d.Grant.Short(), grant.SealedSize)
	case !g.Allows(d.Model):
		return chain.UID{}, invalid("model", "grant %s is not for model %s", d.Grant.Short(), d.Model.Short())
	}
	need := []id.ID{d.Plan, d.Model, d.Inputs}
	if !d.Keys.IsZero() {
		need = append(need, d.Keys)
	}
	return g.Node.UID, j.blobs.has(ctx, s.Project, need...)
}

// status waits until the job is newer than revision after, or for wait.
func (j *jobs) status(ctx context.Context, n jobName, wait time.Duration, after uint64) (api.JobStatus, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		changed, leave := j.hub.wait(n.key())
		r, rev, err := j.records.get(ctx, n)
		if err != nil || uint64(rev) > after || wait <= 0 {
			leave()
			return r.status(n, rev), err
		}
		select {
		case <-changed:
		case <-over.C:
			wait = 0
		case <-ctx.Done():
			wait, ctx = 0, context.WithoutCancel(ctx)
		}
		leave()
	}
}

// list is every job of a project, newest first.
func (j *jobs) list(ctx context.Context, pid id.ID) ([]api.JobStatus, error) {
	all := []api.JobStatus{}
	for d, err := range j.records.docs.List(ctx, jobKeys(pid)) {
		if err != nil {
			return nil, err
		}
		n, err := parseName(d.Key)
		if err != nil {
			return nil, err
		}
		r, err := parseRecord(d)
		if err != nil {
			return nil, err
		}
		s := r.status(n, d.Rev)
		s.Result = nil
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b api.JobStatus) int {
		if a.Submitted != b.Submitted {
			return int(b.Submitted - a.Submitted)
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return all, nil
}

// lease finds work for a node, waiting for it; nil when there was none.
func (j *jobs) lease(ctx context.Context, node *chain.Account, wait time.Duration) (*api.Lease, error) {
	end := j.now().Add(wait)
	for {
		l, err := j.queue.Lease(ctx, node.UID.String(), max(0, end.Sub(j.now())))
		if err == nil && ctx.Err() != nil { // nobody waits for the answer any more
			return nil, j.queue.Retry(context.WithoutCancel(ctx), l, 0, "not taken")
		}
		if errors.Is(err, store.ErrNotFound) || ctx.Err() != nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		got, err := j.start(context.WithoutCancel(ctx), node, l)
		if err != nil || got != nil {
			return got, err
		}
	}
}

// start makes a lease of the queue one of a job; nil when the job needs no
// work any more.
func (j *jobs) start(ctx context.Context, node *chain.Account, l store.Lease) (*api.Lease, error) {
	n, err := parseName(l.Job)
	if err != nil {
		return nil, errors.Join(err, j.queue.Done(ctx, l))
	}
	until := j.now().Add(j.length)
	var why string
	r, err := j.records.change(ctx, n, func(r *record) error {
		why = ""
		switch {
		case r.Node != node.UID || r.State == api.JobDone || r.State == api.JobFailed:
			return errSettled
		case r.State == api.JobLeased:
			r.Reason = expired(r.Attempt)
		}
		if why = j.hopeless(ctx, n, r); why != "" {
			r.fail(why)
			return nil
		}
		r.State, r.Until, r.Done, r.Total, r.Phase = api.JobLeased, until.UnixMilli(), 0, 0, ""
		r.Attempt++
		return nil
	})
	switch {
	case errors.Is(err, errSettled), errors.Is(err, store.ErrNotFound):
		j.leases.drop(n)
		return nil, j.queue.Done(ctx, l)
	case err == nil && why != "":
		j.leases.drop(n)
		return nil, j.queue.Bury(ctx, l, why)
	case err != nil:
		return nil, errors.Join(err, j.queue.Retry(ctx, l, rest, "could not start"))
	}
	author, err := j.accounts.get(ctx, r.Author)
	if err != nil {
		return nil, errors.Join(err, j.queue.Retry(ctx, l, rest, "could not start"))
	}
	granted, err := j.granted(ctx, n, &r)
	if err != nil {
		return nil, errors.Join(err, j.queue.Retry(ctx, l, rest, "could not start"))
	}
	j.leases.note(n, node.UID, until)
	return &api.Lease{Project: n.project, Job: n.job, Doc: r.Raw, Author: author.Raw, AuthorLinks: author.Links, Token: l.Token,
		Attempt: r.Attempt, Seconds: int(j.length / time.Second), Grant: granted}, nil
}

// granted is the body of the grant of a job that is for a key of a machine, so
// that the node sees what it was granted; nil for others.
func (j *jobs) granted(ctx context.Context, n jobName, r *record) ([]byte, error) {
	d, err := r.doc()
	if err != nil || len(d.Release) == 0 {
		return nil, err
	}
	h, err := j.projects.get(ctx, n.project)
	if err != nil {
		return nil, err
	}
	g, ok := h.state.Grants[d.Grant]
	if !ok {
		return nil, nil // it ended just now: the next report ends the job
	}
	return doc.Encode(g.Body())
}

// rest is how long a job waits that could not be started for a reason of the
// store's: at once it would meet the same trouble.
const rest = time.Second

// errSettled says that a job is done with, or is not this node's.
var errSettled = errors.New("job is settled")

// hopeless is why a job must not be started; "" when it may.
func (j *jobs) hopeless(ctx context.Context, n jobName, r *record) string {
	if r.Attempt >= j.attempts {
		return fmt.Sprintf("given up after %d attempts: the node stopped answering each time", r.Attempt)
	}
	return j.ended(ctx, n, r)
}

// ended is why nobody may work on a job any more, as its project stands now:
// its time is over, or one of those whose right it needs has lost it.
func (j *jobs) ended(ctx context.Context, n jobName, r *record) string {
	d, err := r.doc()
	if err != nil {
		return "the stored job document is damaged"
	}
	if d.NotAfter <= j.now().Unix() {
		return "its time ended before it was done"
	}
	h, err := j.projects.get(ctx, n.project)
	if err != nil {
		return "" // a store in trouble is no reason to give a job up
	}
	if _, err := h.state.GrantFor(d.Grant, r.Node, j.now()); err != nil {
		return "the node's grant ended before it was done"
	}
	if !h.state.AllowsAt(r.Author, chain.OpJob, j.now()) {
		return "who asked for it may not do so any more"
	}
	return ""
}

// worth ends a job that nobody may work on any more, whose lease l is held,
// and with it the node's way to the blobs. The node sees a lost lease.
func (j *jobs) worth(ctx context.Context, n jobName, r *record, l store.Lease) error {
	why := j.ended(ctx, n, r)
	if why == "" {
		return nil
	}
	if err := j.finish(ctx, n, l, func(r *record) { r.fail(why) }, j.queue.Done); err != nil {
		return err
	}
	return fmt.Errorf("job %s: %w: %s", n.job, store.ErrLease, why)
}

func (r *record) fail(why string) { r.State, r.Reason, r.Until = api.JobFailed, why, 0 }

func expired(attempt int) string {
	return fmt.Sprintf("attempt %d: the node stopped answering", attempt)
}

// extend keeps a lease alive and notes progress.
func (j *jobs) extend(ctx context.Context, node *chain.Account, q api.LeaseReport) error {
	n, l := name(q), lease(q)
	until := j.now().Add(j.length)
	held, err := j.mine(ctx, n, node)
	if err != nil {
		return err
	}
	if _, err := j.queue.Extend(ctx, l); err != nil {
		return err
	}
	if err := j.worth(ctx, n, &held, l); err != nil {
		return err
	}
	_, err = j.records.change(ctx, n, func(r *record) error {
		if r.State != api.JobLeased {
			return fmt.Errorf("job %s: %w", n.job, store.ErrLease)
		}
		r.Until, r.Done, r.Total, r.Phase = until.UnixMilli(), q.Done, q.Total, q.Phase
		return nil
	})
	if err == nil {
		j.leases.note(n, node.UID, until)
	}
	return err
}

// complete takes a signed result. It is stored as it came: whoever asked for
// the job checks it again.
func (j *jobs) complete(ctx context.Context, node *chain.Account, q api.LeaseReport) error {
	n, l := name(q), lease(q)
	r, _, err := j.records.get(ctx, n)
	if err == nil && r.Node == node.UID && r.State == api.JobDone && bytes.Equal(r.Result, q.Result) {
		return nil // its first answer was lost
	}
	if r, err = j.mine(ctx, n, node); err != nil {
		return err
	}
	if _, err := j.queue.Extend(ctx, l); err != nil {
		return err
	}
	if err := j.worth(ctx, n, &r, l); err != nil {
		return err
	}
	d, err := r.doc()
	if err != nil {
		return err
	}
	res, err := job.OpenResult(q.Result, n.job, d, node.Device)
	if err != nil {
		return invalid("result", "%v", err)
	}
	if err := j.blobs.has(ctx, n.project, res.Outputs); err != nil {
		return err
	}
	return j.finish(ctx, n, l, func(r *record) {
		r.State, r.Result, r.Reason, r.Until = api.JobDone, q.Result, "", 0
	}, j.queue.Done)
}

// fail ends a lease: for good, or to give the job back.
func (j *jobs) fail(ctx context.Context, node *chain.Account, q api.LeaseReport) error {
	n, l := name(q), lease(q)
	if _, err := j.mine(ctx, n, node); err != nil {
		return err
	}
	if _, err := j.queue.Extend(ctx, l); err != nil {
		return err
	}
	if !q.Retry {
		return j.finish(ctx, n, l, func(r *record) { r.fail(q.Reason) }, j.queue.Done)
	}
	return j.finish(ctx, n, l, func(r *record) {
		r.State, r.Reason, r.Until = api.JobQueued, q.Reason, 0
		r.Attempt-- // a node that says goodbye did not fail
	}, func(ctx context.Context, l store.Lease) error { return j.queue.Retry(ctx, l, 0, q.Reason) })
}

// finish writes the record first: what the queue still holds is dropped when
// it is handed out again and the record says that nothing is left to do.
func (j *jobs) finish(ctx context.Context, n jobName, l store.Lease, edit func(*record), end func(context.Context, store.Lease) error) error {
	ctx = context.WithoutCancel(ctx)
	_, err := j.records.change(ctx, n, func(r *record) error {
		if r.State != api.JobLeased {
			return fmt.Errorf("job %s: %w", n.job, store.ErrLease)
		}
		edit(r)
		return nil
	})
	if err != nil {
		return err
	}
	j.leases.drop(n)
	return end(ctx, l)
}

// mine is the record of a job that is leased to node.
func (j *jobs) mine(ctx context.Context, n jobName, node *chain.Account) (record, error) {
	r, _, err := j.records.get(ctx, n)
	if errors.Is(err, store.ErrNotFound) || err == nil && (r.Node != node.UID || r.State != api.JobLeased) {
		return r, fmt.Errorf("job %s: %w", n.job, store.ErrLease)
	}
	return r, err
}

func name(q api.LeaseReport) jobName      { return jobName{q.Project, q.Job} }
func lease(q api.LeaseReport) store.Lease { return store.Lease{Job: name(q).queue(), Token: q.Token} }

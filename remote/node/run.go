package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
)

// run checks what was leased, runs it and signs the result.
func (n Node) run(ctx context.Context, l api.Lease, p progress.Sink) ([]byte, error) {
	j, err := n.open(l)
	if err != nil {
		return nil, err
	}
	key, err := n.release(l, j)
	if err != nil {
		return nil, err
	}
	defer key.wipe()
	end := time.Unix(j.NotAfter, 0)
	ctx, cancel := context.WithTimeoutCause(ctx, end.Sub(n.Now()), ErrLate)
	defer cancel()
	res, err := n.guarded(ctx, j, room{n.Client.Project(l.Project)}, p)
	if errors.Is(context.Cause(ctx), ErrLate) || err == nil && !n.Now().Before(end) {
		return nil, ErrLate
	}
	if err != nil {
		return nil, err
	}
	res.Job = l.Job
	if res.Proof, err = key.prove(res); err != nil {
		return nil, err
	}
	return doc.Sign(job.ResultType, res, n.Identity)
}

// ErrLate is returned when a job's time ended before it was done: nothing is
// signed for it.
var ErrLate = errors.New("the job's time ended before it was done")

// ErrPanic is wrapped when a runner panicked on a job.
var ErrPanic = errors.New("the runner panicked")

// guarded runs the runner so that hostile input that makes it panic costs one
// job and not the node. What it panicked with is not told: it may be payload.
func (n Node) guarded(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (res job.Result, err error) {
	defer func() {
		if recover() != nil {
			err = ErrPanic
		}
	}()
	return n.Runner.Run(ctx, j, in, p)
}

// open verifies the job document: that it is the one named, that it belongs to
// the project whose blobs we may read, that it is in time, and the signature of
// the account that the server gave with it; see the package comment for what
// that is not worth.
func (n Node) open(l api.Lease) (j job.JobDoc, err error) {
	author, err := chain.OpenAccountChain(l.Author, l.AuthorLinks)
	if err != nil {
		return j, err
	}
	s, name, err := doc.Open(l.Doc, job.DocType, job.MaxDoc, author.Keys())
	if err != nil {
		return j, err
	}
	if err := doc.Decode(s.Body, &j); err != nil {
		return j, fmt.Errorf("%s: %w", job.DocType, err)
	}
	switch {
	case name != l.Job:
		return j, fmt.Errorf("%w: the document is %s, leased was %s", job.ErrMismatch, name, l.Job)
	case j.V != 1:
		return j, fmt.Errorf("%w: field v is %d, want 1", job.ErrMismatch, j.V)
	case j.Project != l.Project:
		return j, fmt.Errorf("%w: field project is %s, leased was %s", job.ErrMismatch, j.Project, l.Project)
	case j.NotAfter <= n.Now().Unix():
		return j, fmt.Errorf("%w: field not_after has passed", job.ErrMismatch)
	case j.MinIsolation > job.IsolationProcess:
		return j, fmt.Errorf("%w: field min_isolation is %d, this node offers %d", job.ErrMismatch, j.MinIsolation, job.IsolationProcess)
	}
	return j, nil
}

// room is the project's blobs as a runner sees them.
type room struct{ p *api.Project }

var _ job.Blobs = room{}

// Get reads blob i, of at most max bytes. The client checks its hash.
func (r room) Get(ctx context.Context, i id.ID, max int64) ([]byte, error) {
	body, err := r.p.GetBlob(ctx, i, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, max+1))
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", i.Short(), err)
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("blob %s: %w: more than %d bytes", i.Short(), api.ErrTooLarge, max)
	}
	if id.Of(b) != i {
		return nil, fmt.Errorf("blob %s: %w", i.Short(), api.ErrDamaged)
	}
	return b, nil
}

// Put stores b and names it.
func (r room) Put(ctx context.Context, b []byte) (id.ID, error) {
	i := id.Of(b)
	return i, r.p.PutBlob(ctx, i, int64(len(b)), bytes.NewReader(b))
}

// meter is a progress.Sink that remembers the latest.
type meter struct {
	mu          sync.Mutex
	phase       string
	done, total int64
}

var _ progress.Sink = (*meter)(nil)

// Phase starts a phase.
func (m *meter) Phase(name string, total int64, _ progress.Unit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase, m.done, m.total = name, 0, total
}

// Add counts.
func (m *meter) Add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
}

// Note is not passed on: only figures leave the node.
func (m *meter) Note(string, ...any) {}

func (m *meter) read() (phase string, done, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.phase, m.done, m.total
}

package node_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/job"
	"cipherdeck/fhe/parallel"
	"cipherdeck/remote/api"
	"cipherdeck/remote/node"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// runner is a job.Runner that a test decides.
type runner func(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error)

func (r runner) Run(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
	return r(ctx, j, in, p)
}

// reverse answers with the inputs turned round.
func reverse(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
	p.Phase("reverse", 1, progress.Items)
	b, err := in.Get(ctx, j.Inputs, 1<<20)
	if err != nil {
		return job.Result{}, err
	}
	for a, z := 0, len(b)-1; a < z; a, z = a+1, z-1 {
		b[a], b[z] = b[z], b[a]
	}
	out, err := in.Put(ctx, b)
	p.Add(1)
	return job.Result{V: 1, Plan: j.Plan, Model: j.Model, Inputs: j.Inputs, Outputs: out, Isolation: job.IsolationProcess, Engine: "test"}, err
}

type setup struct {
	cfg  server.Config
	srv  *server.Server
	node rt.Who
	p    *rt.Project
}

func start(t *testing.T) *setup {
	t.Helper()
	s := &setup{cfg: rt.Config(t.TempDir()), node: rt.Node(t, "node")}
	s.cfg.LeaseSeconds = 3
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	owner := rt.Person(t, "owner")
	c := rt.Enrolled(t, s.srv, owner)
	rt.Enrolled(t, s.srv, s.node)
	s.p = rt.NewProject(t, c, owner)
	s.p.GrantTo(t, s.node)
	return s
}

// run runs the node until stop.
func (s *setup) run(t *testing.T, r runner) (stop func()) {
	t.Helper()
	return s.runNode(t, node.Node{Runner: r})
}

func (s *setup) runNode(t *testing.T, n node.Node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	n.Client, n.Identity = rt.Client(t, s.srv, s.node), s.node.Key
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func (s *setup) submit(t *testing.T) (id.ID, job.JobDoc) {
	t.Helper()
	raw, d := s.p.NewJob(t)
	name, err := s.p.SubmitJob(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return name, d
}

func (s *setup) until(t *testing.T, name id.ID, ok func(api.JobStatus) bool) api.JobStatus {
	t.Helper()
	var after uint64
	for {
		st, err := s.p.Job(t.Context(), name, 20*time.Second, after)
		if err != nil {
			t.Fatal(err)
		}
		if ok(st) {
			return st
		}
		if st.Final() || st.Rev == after {
			t.Fatalf("job is %+v", st)
		}
		after = st.Rev
	}
}

func in(state api.JobState) func(api.JobStatus) bool {
	return func(st api.JobStatus) bool { return st.State == state }
}

func (s *setup) wantOutput(t *testing.T, name id.ID, d job.JobDoc) {
	t.Helper()
	st := s.until(t, name, in(api.JobDone))
	res, err := job.OpenResult(st.Result, name, d, s.node.Device)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.p.GetBlob(t.Context(), res.Outputs, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil || out.String() != "stupni" {
		t.Errorf("output %q, %v", out.String(), err)
	}
}

func TestRuns(t *testing.T) {
	s := start(t)
	s.run(t, reverse)
	for range 3 {
		name, d := s.submit(t)
		s.wantOutput(t, name, d)
	}
}

// TestExtends holds a job for longer than its lease lasts.
func TestExtends(t *testing.T) {
	s := start(t)
	go_ := make(chan struct{})
	s.run(t, func(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
		p.Phase("wait", 2, progress.Items)
		p.Add(1)
		<-go_
		return reverse(ctx, j, in, p)
	})
	name, d := s.submit(t)
	first := s.until(t, name, in(api.JobLeased))
	extended := 0
	s.until(t, name, func(st api.JobStatus) bool {
		if st.State != api.JobLeased || st.Attempt != 1 {
			t.Fatalf("the lease was lost: %+v", st)
		}
		if st.Rev > first.Rev && st.Done == 1 && st.Total == 2 && st.Phase == "wait" {
			extended++
		}
		return extended == 5 // more than one length of the lease
	})
	close(go_)
	s.wantOutput(t, name, d)
}

func TestFails(t *testing.T) {
	s := start(t)
	fail := make(chan func() error, 1)
	s.run(t, func(context.Context, job.JobDoc, job.Blobs, progress.Sink) (job.Result, error) {
		return job.Result{}, (<-fail)()
	})
	for _, f := range []func() error{
		func() error { return errors.New("plan does not decode") },
		func() error { panic("payload") },
		func() error { // as the real runner does its work
			return parallel.Each(t.Context(), 2, 2, func(context.Context, int) error { panic("payload") })
		},
	} {
		name, _ := s.submit(t)
		fail <- f
		st := s.until(t, name, in(api.JobFailed))
		if st.Reason != "plan does not decode" && !strings.Contains(st.Reason, "panicked") || strings.Contains(st.Reason, "payload") {
			t.Errorf("reason %q", st.Reason)
		}
	}
}

// TestStops gives the job back, and another node of the same key finishes it.
func TestStops(t *testing.T) {
	s := start(t)
	running := make(chan struct{})
	stop := s.run(t, func(ctx context.Context, _ job.JobDoc, _ job.Blobs, _ progress.Sink) (job.Result, error) {
		close(running)
		<-ctx.Done()
		return job.Result{}, ctx.Err()
	})
	name, d := s.submit(t)
	<-running
	stop()
	st, err := s.p.Job(t.Context(), name, 0, 0)
	if err != nil || st.State != api.JobQueued || st.Reason != "the node stops" {
		t.Errorf("after the stop: %+v, %v", st, err)
	}
	s.run(t, reverse)
	s.wantOutput(t, name, d)
}

// TestServerRestarts takes the server away while a job runs.
func TestServerRestarts(t *testing.T) {
	s := start(t)
	running, go_ := make(chan struct{}, 3), make(chan struct{})
	s.run(t, func(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
		running <- struct{}{}
		<-go_
		return reverse(ctx, j, in, p)
	})
	name, d := s.submit(t)
	<-running
	s.cfg.Listen = s.srv.Addr()
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	close(go_)
	s.wantOutput(t, name, d)
}

// TestLostLease runs a job whose lease somebody else ends: the work stops.
func TestLostLease(t *testing.T) {
	s := start(t)
	stopped := make(chan error, 1)
	s.run(t, func(ctx context.Context, _ job.JobDoc, _ job.Blobs, _ progress.Sink) (job.Result, error) {
		<-ctx.Done()
		select {
		case stopped <- context.Cause(ctx):
		default:
		}
		return job.Result{}, ctx.Err()
	})
	name, _ := s.submit(t)
	s.until(t, name, in(api.JobLeased))
	s.cfg.Listen = s.srv.Addr()
	if err := s.srv.Close(); err != nil { // away for longer than the lease lasts
		t.Fatal(err)
	}
	if err := <-stopped; err == nil {
		t.Error("the job went on without a lease")
	}
}

// TestForgedJob gives the node leases that an honest server never gives.
func TestForgedJob(t *testing.T) {
	s := start(t)
	ran := false
	raw, d := s.p.NewJob(t)
	other := rt.Person(t, "other")
	forged, err := doc.Sign(job.DocType, d, other.Key)
	if err != nil {
		t.Fatal(err)
	}
	late, _ := s.p.NewJob(t, func(d *job.JobDoc) { d.NotAfter = time.Now().Unix() })
	ended := api.Lease{Project: d.Project, Job: id.Of(late), Doc: late, Author: s.p.Owner.Raw}
	n := node.Node{Client: rt.Client(t, s.srv, s.node), Identity: s.node.Key, Now: time.Now,
		Runner: runner(func(context.Context, job.JobDoc, job.Blobs, progress.Sink) (job.Result, error) {
			ran = true
			return job.Result{}, nil
		})}
	for name, l := range map[string]api.Lease{
		"signed by another": {Project: d.Project, Job: id.Of(forged), Doc: forged, Author: s.p.Owner.Raw},
		"another name":      {Project: d.Project, Job: id.Of(forged), Doc: raw, Author: s.p.Owner.Raw},
		"another project":   {Project: id.Of(raw), Job: id.Of(raw), Doc: raw, Author: s.p.Owner.Raw},
		"no author":         {Project: d.Project, Job: id.Of(raw), Doc: raw},
		"ended":             ended,
	} {
		if _, err := node.RunLease(n, t.Context(), l); err == nil || ran {
			t.Errorf("%s: %v, ran %v", name, err, ran)
		}
	}
}

// TestLate lets the time of a job end while it runs. A runner that listens is
// stopped; for one that does not listen nothing is signed.
func TestLate(t *testing.T) {
	s := start(t)
	raw, d := s.p.NewJob(t)
	l := api.Lease{Project: d.Project, Job: id.Of(raw), Doc: raw, Author: s.p.Owner.Raw}
	clock := time.Unix(d.NotAfter, 0).Add(-time.Millisecond)
	n := node.Node{Client: rt.Client(t, s.srv, s.node), Identity: s.node.Key, Now: func() time.Time { return clock },
		Runner: runner(func(ctx context.Context, _ job.JobDoc, _ job.Blobs, _ progress.Sink) (job.Result, error) {
			<-ctx.Done()
			return job.Result{}, ctx.Err()
		})}
	if _, err := node.RunLease(n, t.Context(), l); !errors.Is(err, node.ErrLate) {
		t.Errorf("stopped: %v", err)
	}
	clock = clock.Add(-time.Minute)
	n.Runner = runner(func(context.Context, job.JobDoc, job.Blobs, progress.Sink) (job.Result, error) {
		clock = clock.Add(2 * time.Minute)
		return job.Result{}, nil
	})
	if signed, err := node.RunLease(n, t.Context(), l); !errors.Is(err, node.ErrLate) || signed != nil {
		t.Errorf("done too late: %d bytes signed, %v", len(signed), err)
	}
}

package server_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// setup is a server, a project of an owner, and a node with a grant.
type setup struct {
	cfg    server.Config
	srv    *server.Server
	owner  rt.Who
	node   rt.Who
	client *api.Client
	worker *api.Client
	p      *rt.Project
	raw    []byte // of the job that was submitted last
}

func start(t *testing.T, edit ...func(*server.Config)) *setup {
	t.Helper()
	s := &setup{cfg: rt.Config(t.TempDir()), owner: rt.Person(t, "owner"), node: rt.Node(t, "node")}
	for _, e := range edit {
		e(&s.cfg)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	s.client, s.worker = rt.Enrolled(t, s.srv, s.owner), rt.Enrolled(t, s.srv, s.node)
	s.p = rt.NewProject(t, s.client, s.owner)
	s.p.GrantTo(t, s.node)
	return s
}

// restart closes the server and starts it on the same address and data.
func (s *setup) restart(t *testing.T) {
	t.Helper()
	s.cfg.Listen = s.srv.Addr()
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
}

func (s *setup) submit(t *testing.T) (id.ID, job.JobDoc) {
	t.Helper()
	raw, d := s.p.NewJob(t)
	name, err := s.p.SubmitJob(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	s.raw = raw
	return name, d
}

// submitAs hands in a job that w asks for, until a time.
func (s *setup) submitAs(t *testing.T, c *api.Client, w rt.Who, until time.Time) (id.ID, job.JobDoc) {
	t.Helper()
	_, d := s.p.NewJob(t, func(d *job.JobDoc) { d.NotAfter = until.Unix() })
	raw, err := doc.Sign(job.DocType, d, w.Key)
	if err != nil {
		t.Fatal(err)
	}
	name, err := c.Project(s.p.ID()).SubmitJob(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return name, d
}

func (s *setup) lease(t *testing.T) api.Lease {
	t.Helper()
	l, ok, err := s.worker.Lease(t.Context(), 30*time.Second)
	if err != nil || !ok {
		t.Fatalf("lease: %v %v", ok, err)
	}
	return l
}

func report(l api.Lease) api.LeaseReport {
	return api.LeaseReport{Project: l.Project, Job: l.Job, Token: l.Token}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func status(t *testing.T, p *rt.Project, name id.ID, wait time.Duration, after uint64) api.JobStatus {
	t.Helper()
	st, err := p.Job(t.Context(), name, wait, after)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// until waits, by long polls, for a job to come to a state.
func until(t *testing.T, p *rt.Project, name id.ID, want api.JobState) api.JobStatus {
	t.Helper()
	var after uint64
	for {
		st := status(t, p, name, 20*time.Second, after)
		if st.State == want {
			return st
		}
		if st.Rev == after || st.Final() {
			t.Fatalf("job is %+v, want %s", st, want)
		}
		after = st.Rev
	}
}

func TestJobFromEndToEnd(t *testing.T) {
	s := start(t)
	ctx := t.Context()
	name, d := s.submit(t)
	if again, err := s.p.SubmitJob(ctx, s.raw); err != nil || again != name {
		t.Errorf("handed in twice: %v, %v", again, err)
	}
	queued := status(t, s.p, name, 0, 0)
	l := s.lease(t)
	if l.Job != name || l.Project != s.p.ID() || l.Attempt != 1 || l.Seconds != s.cfg.LeaseSeconds || !bytes.Equal(l.Author, s.owner.Raw) {
		t.Errorf("leased %+v", l)
	}
	leased := status(t, s.p, name, 20*time.Second, queued.Rev) // newer already: answers at once
	if leased.State != api.JobLeased || leased.Node != s.node.UID {
		t.Errorf("status %+v", leased)
	}
	r := report(l)
	r.Phase, r.Done, r.Total = "evaluate\x1b[2J", 3, 10
	if _, err := s.worker.Extend(ctx, r); err != nil {
		t.Fatal(err)
	}
	if st := status(t, s.p, name, 0, 0); st.Done != 3 || st.Total != 10 || st.Phase != "evaluate[2J" {
		t.Errorf("progress %+v", st)
	}
	work := s.worker.Project(s.p.ID())
	out := []byte("outputs")
	if err := work.PutBlob(ctx, id.Of(out), int64(len(out)), bytes.NewReader(out)); err != nil {
		t.Fatal(err)
	}
	r.Result = rt.Result(t, s.node, name, d, id.Of(out))
	if err := s.worker.Complete(ctx, r); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "complete again", s.worker.Complete(ctx, r), nil)
	st := until(t, s.p, name, api.JobDone)
	if _, err := job.OpenResult(st.Result, name, d, s.node.Device); err != nil {
		t.Errorf("result: %v", err)
	}
	_, err := work.Have(ctx, []id.ID{id.Of(out)})
	wantErr(t, "blobs after the lease", err, api.ErrForbidden)
	all, err := s.p.Jobs(ctx)
	if err != nil || len(all) != 1 || all[0].ID != name || all[0].Result != nil {
		t.Errorf("jobs: %+v, %v", all, err)
	}
	_, ok, err := s.worker.Lease(ctx, 0)
	if ok || err != nil {
		t.Errorf("leased a job that is done: %v", err)
	}
}

func TestResultsRefused(t *testing.T) {
	s := start(t)
	name, d := s.submit(t)
	l := s.lease(t)
	out := s.p.Put(t, []byte("outputs"))
	other := d
	other.Inputs = out
	for what, c := range map[string]struct {
		result []byte
		edit   func(*api.LeaseReport)
		want   error
	}{
		"signed by another node": {result: rt.Result(t, rt.Node(t, "other"), name, d, out), want: api.ErrInvalid},
		"for another job":        {result: rt.Result(t, s.node, out, d, out), want: api.ErrInvalid},
		"of other inputs":        {result: rt.Result(t, s.node, name, other, out), want: api.ErrInvalid},
		"outputs not there":      {result: rt.Result(t, s.node, name, d, id.Of([]byte("nowhere"))), want: api.ErrInvalid},
		"garbage":                {result: []byte("garbage"), want: api.ErrInvalid},
		"forged token": {result: rt.Result(t, s.node, name, d, out),
			edit: func(r *api.LeaseReport) { r.Token = "forged" }, want: api.ErrLease},
		"unknown job": {result: rt.Result(t, s.node, name, d, out),
			edit: func(r *api.LeaseReport) { r.Job = out }, want: api.ErrLease},
	} {
		r := report(l)
		r.Result = c.result
		if c.edit != nil {
			c.edit(&r)
		}
		wantErr(t, what, s.worker.Complete(t.Context(), r), c.want)
	}
	r := report(l)
	r.Reason = "plan does not decode"
	wantErr(t, "fail", s.worker.Fail(t.Context(), r), nil)
	st := until(t, s.p, name, api.JobFailed)
	if st.Reason != "plan does not decode" {
		t.Errorf("status %+v", st)
	}
	wantErr(t, "fail again", s.worker.Fail(t.Context(), r), api.ErrLease)
}

func TestJobsRefused(t *testing.T) {
	s := start(t)
	other := rt.NewProject(t, s.client, s.owner)
	for what, edit := range map[string]func(*job.JobDoc){
		"another project": func(d *job.JobDoc) { d.Project = other.ID() },
		"no grant":        func(d *job.JobDoc) { d.Grant = d.Plan },
		"ended":           func(d *job.JobDoc) { d.NotAfter = time.Now().Unix() - 1 },
		"version":         func(d *job.JobDoc) { d.V = 2 },
		"missing plan":    func(d *job.JobDoc) { d.Plan = id.Of([]byte("nowhere")) },
		"missing model":   func(d *job.JobDoc) { d.Model = id.Of([]byte("nowhere")) },
		"missing inputs":  func(d *job.JobDoc) { d.Inputs = id.Of([]byte("nowhere")) },
		"missing keys":    func(d *job.JobDoc) { d.Keys = id.Of([]byte("nowhere")) },
	} {
		raw, _ := s.p.NewJob(t, edit)
		_, err := s.p.SubmitJob(t.Context(), raw)
		wantErr(t, what, err, api.ErrInvalid)
	}
	raw, _ := s.p.NewJob(t)
	writer := rt.Person(t, "writer")
	s.p.Add(t, writer, chain.Writer)
	_, err := rt.Enrolled(t, s.srv, writer).Project(s.p.ID()).SubmitJob(t.Context(), raw)
	wantErr(t, "signed by somebody else", err, api.ErrInvalid)
	s.p.Do(t, chain.KindUngrant, chain.UngrantBody{Grant: s.p.Grant})
	_, err = s.p.SubmitJob(t.Context(), raw)
	wantErr(t, "after the grant ended", err, api.ErrInvalid)
}

// TestNodeDies lets leases end without a word: the job goes to the next
// attempt, and after the last one it is given up with a reason.
func TestNodeDies(t *testing.T) {
	s := start(t, func(c *server.Config) { c.LeaseSeconds, c.MaxAttempts = 1, 2 })
	name, _ := s.submit(t)
	first := s.lease(t)
	again := s.lease(t) // comes when the first lease has ended
	if again.Job != name || again.Attempt != 2 || again.Token == first.Token {
		t.Errorf("leased %+v after %+v", again, first)
	}
	_, err := s.worker.Extend(t.Context(), report(first))
	wantErr(t, "extend by the dead node", err, api.ErrLease)
	st := until(t, s.p, name, api.JobFailed)
	if st.Attempt != 2 || st.Reason == "" {
		t.Errorf("status %+v", st)
	}
	_, ok, err := s.worker.Lease(t.Context(), 0)
	if ok || err != nil {
		t.Errorf("a job that was given up is leased: %v", err)
	}
}

func TestGivenBack(t *testing.T) {
	s := start(t)
	name, _ := s.submit(t)
	for range 5 { // more often than attempts are allowed: it is not a failure
		l := s.lease(t)
		if l.Attempt != 1 {
			t.Fatalf("attempt %d", l.Attempt)
		}
		r := report(l)
		r.Reason, r.Retry = "the node stops", true
		wantErr(t, "give back", s.worker.Fail(t.Context(), r), nil)
	}
	if st := status(t, s.p, name, 0, 0); st.State != api.JobQueued || st.Reason != "the node stops" {
		t.Errorf("status %+v", st)
	}
}

// TestRestart stops the server while a node works and an upload is half done.
func TestRestart(t *testing.T) {
	s := start(t)
	ctx := t.Context()
	name, d := s.submit(t)
	l := s.lease(t)
	var ids []id.ID
	var bodies [][]byte
	for n := range 10 {
		bodies = append(bodies, bytes.Repeat([]byte{byte(n)}, 100_000+n))
		ids = append(ids, id.Of(bodies[n]))
	}
	for n := range 4 {
		s.p.Put(t, bodies[n])
	}
	pin := s.srv.Pin()
	s.restart(t)
	if s.srv.Pin() != pin {
		t.Fatal("the server came back with another key")
	}
	have, err := s.p.Have(ctx, ids)
	if err != nil || !slices.Equal(have, []bool{true, true, true, true, false, false, false, false, false, false}) {
		t.Fatalf("have %v, %v", have, err)
	}
	for n, there := range have {
		if !there {
			s.p.Put(t, bodies[n])
		}
	}
	for n, i := range ids {
		if got := read(t, s.p.Project, i); !bytes.Equal(got, bodies[n]) {
			t.Errorf("blob %d differs", n)
		}
	}
	// The lease outlived the restart, and with it the right to the blobs.
	if got := read(t, s.worker.Project(s.p.ID()), d.Plan); string(got) != "plan" {
		t.Errorf("plan %q", got)
	}
	if _, err := s.worker.Extend(ctx, report(l)); err != nil {
		t.Fatal(err)
	}
	r := report(l)
	r.Result = rt.Result(t, s.node, name, d, ids[0])
	wantErr(t, "complete", s.worker.Complete(ctx, r), nil)
	s.p.Do(t, chain.KindUngrant, chain.UngrantBody{Grant: s.p.Grant}) // the state is rebuilt from the blobs
	until(t, s.p, name, api.JobDone)
}

func read(t *testing.T, p *api.Project, i id.ID) []byte {
	t.Helper()
	r, err := p.GetBlob(t.Context(), i, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStopWhileWaiting shows that long polls do not hold the stop up.
func TestStopWhileWaiting(t *testing.T) {
	s := start(t)
	name, _ := s.submit(t)
	s.lease(t)
	st := status(t, s.p, name, 0, 0)
	polled := make(chan error, 1)
	go func() {
		_, err := s.p.Job(t.Context(), name, time.Minute, st.Rev)
		polled <- err
	}()
	if err := s.srv.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-polled; err != nil && !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("poll: %v", err)
	}
	wantErr(t, "wait", s.srv.Wait(), nil)
}

// TestPollsWait asks for news of a job of which there is none, while another
// job of the project changes: each answer must be newer than what is known.
func TestPollsWait(t *testing.T) {
	s := start(t)
	name, _ := s.submit(t)
	known := status(t, s.p, name, 0, 0)
	l := s.lease(t)
	other, _ := s.submit(t)
	known = status(t, s.p, name, 20*time.Second, known.Rev)
	for n := range int64(5) {
		polled := make(chan api.JobStatus, 1)
		go func() {
			st, err := s.p.Job(t.Context(), name, time.Minute, known.Rev)
			if err != nil {
				t.Error(err)
			}
			polled <- st
		}()
		r := report(s.lease(t)) // the other job comes and goes
		r.Retry = true
		wantErr(t, "give back", s.worker.Fail(t.Context(), r), nil)
		r = report(l)
		r.Done = n + 1
		if _, err := s.worker.Extend(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		st := <-polled
		if st.Rev <= known.Rev || st.Done != n+1 {
			t.Fatalf("answered %+v after %+v", st, known)
		}
		known = st
	}
	if st := status(t, s.p, other, 0, 0); st.State != api.JobQueued {
		t.Errorf("the other job is %+v", st)
	}
}

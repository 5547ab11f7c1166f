package server_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// TestEndedWhileLeased takes back, while a node works, one of the rights that
// its job stands on. The next word of the node ends the job, its lease and its
// way to the blobs.
func TestEndedWhileLeased(t *testing.T) {
	for what, end := range map[string]func(t *testing.T, s *setup, writer rt.Who, ahead *atomic.Int64){
		"grant": func(t *testing.T, s *setup, _ rt.Who, _ *atomic.Int64) {
			s.p.Do(t, chain.KindUngrant, chain.UngrantBody{Grant: s.p.Grant})
		},
		"author": func(t *testing.T, s *setup, writer rt.Who, _ *atomic.Int64) {
			s.p.Do(t, chain.KindRemove, chain.RemoveBody{UID: writer.UID, Epoch: chain.Epoch{Number: 2, Prev: []byte("sealed"), Wraps: id.Of([]byte("w2"))}})
		},
		"time": func(_ *testing.T, _ *setup, _ rt.Who, ahead *atomic.Int64) {
			ahead.Store(int64(30 * time.Minute))
		},
	} {
		for _, verb := range []string{"extend", "complete"} {
			t.Run(what+" then "+verb, func(t *testing.T) { endedWhileLeased(t, verb, end) })
		}
	}
}

func endedWhileLeased(t *testing.T, verb string, end func(*testing.T, *setup, rt.Who, *atomic.Int64)) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s := &setup{cfg: rt.Config(t.TempDir()), owner: rt.Person(t, "owner"), node: rt.Node(t, "node")}
	s.cfg.LeaseSeconds, s.cfg.TokenTTLSeconds = 3600, 86400
	s.srv = rt.Start(t, server.Options{Config: s.cfg, Now: now})
	clock := func(c *api.Config) { c.Now = now }
	s.client, s.worker = rt.Enrolled(t, s.srv, s.owner, clock), rt.Enrolled(t, s.srv, s.node, clock)
	s.p = rt.NewProject(t, s.client, s.owner)
	s.p.GrantTo(t, s.node)
	writer := rt.Person(t, "writer")
	s.p.Add(t, writer, chain.Writer)
	name, d := s.submitAs(t, rt.Enrolled(t, s.srv, writer, clock), writer, time.Now().Add(20*time.Minute))
	l := s.lease(t)
	end(t, s, writer, &ahead)
	r := report(l)
	if verb == "extend" {
		_, err := s.worker.Extend(t.Context(), r)
		wantErr(t, "extend", err, api.ErrLease)
	} else {
		r.Result = rt.Result(t, s.node, name, d, s.p.Put(t, []byte("outputs")))
		wantErr(t, "complete", s.worker.Complete(t.Context(), r), api.ErrLease)
	}
	if st := status(t, s.p, name, 0, 0); st.State != api.JobFailed || st.Reason == "" || len(st.Result) > 0 {
		t.Errorf("the job is %+v", st)
	}
	work := s.worker.Project(s.p.ID())
	_, err := work.GetBlob(t.Context(), d.Plan, 0, -1)
	wantErr(t, "reading after it", err, api.ErrForbidden)
	b := []byte("junk")
	wantErr(t, "writing after it", work.PutBlob(t.Context(), id.Of(b), int64(len(b)), bytes.NewReader(b)), api.ErrForbidden)
	if _, ok, err := s.worker.Lease(t.Context(), 0); ok || err != nil {
		t.Errorf("the job is handed out again: %v", err)
	}
}

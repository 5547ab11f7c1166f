package node_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	gotpm "github.com/google/go-tpm/tpm2"

	"cipherdeck/attest"
	"cipherdeck/attest/grant"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/node"
	rt "cipherdeck/remote/remotetest"
)

// machine is a TPM that was started afresh, and a key of its state.
func machine(t *testing.T) (*softtpm.TPM, *grant.Key) {
	t.Helper()
	tpm := softtpm.New(softtpm.Config{Seed: [32]byte{1}})
	ak, err := tpm2.NewAK(tpm)
	if err != nil {
		t.Fatal(err)
	}
	k, err := grant.NewKey(tpm, ak, attest.SHA256, []uint8{7, 14})
	if err != nil {
		t.Fatal(err)
	}
	return tpm, k
}

// startGranted is start, with a grant to a key in place of a plain one.
func startGranted(t *testing.T, k *grant.Key, models ...id.ID) *setup {
	t.Helper()
	s := start(t)
	s.p.GrantKey(t, s.node, k.Point, models...)
	return s
}

// released is a job document with its key sealed to k.
func (s *setup) released(t *testing.T, k *grant.Key, edit ...func(*job.JobDoc)) (raw []byte, d job.JobDoc, key [grant.KeySize]byte) {
	t.Helper()
	_, _ = rand.Read(key[:])
	raw, d = s.p.NewJob(t, append(edit, func(d *job.JobDoc) {
		var err error
		if d.Release, err = grant.Seal(k.Point, d.Terms(), key); err != nil {
			t.Fatal(err)
		}
	})...)
	return raw, d, key
}

func (s *setup) submitReleased(t *testing.T, k *grant.Key) (name id.ID, d job.JobDoc, key [grant.KeySize]byte) {
	t.Helper()
	raw, d, key := s.released(t, k)
	name, err := s.p.SubmitJob(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return name, d, key
}

// keyed runs the node with the key that it has now.
func (s *setup) keyed(t *testing.T, k node.Keys) {
	t.Helper()
	s.runNode(t, node.Node{Runner: runner(reverse), Keys: k})
}

// TestGrantedMachine: the job's key is opened and the result proven by it, and by
// no other.
func TestGrantedMachine(t *testing.T) {
	_, k := machine(t)
	s := startGranted(t, k, id.Of([]byte("model")))
	s.keyed(t, k)
	for range 2 {
		name, d, key := s.submitReleased(t, k)
		st := s.until(t, name, in(api.JobDone))
		res, err := job.OpenResult(st.Result, name, d, s.node.Device)
		if err != nil {
			t.Fatal(err)
		}
		if err := job.CheckProof(res, key); err != nil {
			t.Fatal(err)
		}
		if err := job.CheckProof(res, [grant.KeySize]byte{}); !errors.Is(err, job.ErrProof) {
			t.Errorf("another key: %v", err)
		}
		s.wantOutput(t, name, d)
	}
}

// TestMachineIsAnother: after a measurement more, after a restart, and with no TPM
// at all, the job fails for good, with a reason that a person understands.
func TestMachineIsAnother(t *testing.T) {
	tpm, k := machine(t)
	_, restarted := machine(t)
	changed := func() node.Keys {
		_, err := gotpm.PCRExtend{
			PCRHandle: gotpm.AuthHandle{Handle: 14, Auth: gotpm.PasswordAuth(nil)},
			Digests:   gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: make([]byte, 32)}}},
		}.Execute(tpm)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for name, c := range map[string]struct {
		keys func() node.Keys
		want error
	}{
		"changed":   {changed, node.ErrKey},
		"restarted": {func() node.Keys { return restarted }, node.ErrKey},
		"no TPM":    {func() node.Keys { return nil }, node.ErrNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			s := startGranted(t, k)
			s.keyed(t, c.keys())
			job, _, _ := s.submitReleased(t, k)
			if st := s.until(t, job, in(api.JobFailed)); st.Reason != c.want.Error() || st.Attempt != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestServerHoldsTheGrant: what a grant to a key asks of a job is asked by the
// server, by name of the field.
func TestServerHoldsTheGrant(t *testing.T) {
	_, k := machine(t)
	s := start(t)
	refused := func(what, field string, raw []byte) {
		t.Helper()
		_, err := s.p.SubmitJob(t.Context(), raw)
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.CodeInvalid || e.Field != field {
			t.Errorf("%s: %v", what, err)
		}
	}
	raw, _, _ := s.released(t, k)
	refused("a release under a plain grant", "release", raw)
	s.p.GrantKey(t, s.node, k.Point, id.Of([]byte("model")))
	raw, _ = s.p.NewJob(t)
	refused("no release", "release", raw)
	raw, _ = s.p.NewJob(t, func(d *job.JobDoc) { d.Release = make([]byte, grant.SealedSize-1) })
	refused("half a release", "release", raw)
	raw, _, _ = s.released(t, k, func(d *job.JobDoc) { d.Model = s.p.Put(t, []byte("another model")) })
	refused("another model", "model", raw)
	raw, _, _ = s.released(t, k)
	if _, err := s.p.SubmitJob(t.Context(), raw); err != nil {
		t.Error(err)
	}
	s.p.GrantKey(t, s.node, nil, id.Of([]byte("model")))
	raw, _ = s.p.NewJob(t, func(d *job.JobDoc) { d.Model = s.p.Put(t, []byte("another model")) })
	refused("another model, with no key", "model", raw)
}

// TestServerThatLiesAboutTheGrant gives the node leases that an honest server
// never gives: nothing is opened, and nothing runs.
func TestServerThatLiesAboutTheGrant(t *testing.T) {
	_, k := machine(t)
	_, elsewhere := machine(t)
	s := startGranted(t, k)
	other := rt.Node(t, "other")
	ran := false
	n := node.Node{Client: rt.Client(t, s.srv, s.node), Identity: s.node.Key, Now: time.Now, Keys: k,
		Runner: runner(func(_ context.Context, j job.JobDoc, _ job.Blobs, _ progress.Sink) (job.Result, error) {
			ran = true
			return job.Result{V: 1, Plan: j.Plan, Model: j.Model, Inputs: j.Inputs, Isolation: job.IsolationProcess}, nil
		})}
	body := func(change func(*chain.GrantBody)) []byte {
		b := chain.GrantBody{Node: s.node.Raw, NotAfter: time.Now().Add(time.Hour).Unix(), Key: k.Point,
			AKName: append([]byte{0, 11}, make([]byte, 32)...), Models: []id.ID{id.Of([]byte("model"))}}
		change(&b)
		raw, err := doc.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := body(func(*chain.GrantBody) {})
	// lease is a job under the grant, whatever the server shows in its place.
	lease := func(grant, shown []byte, edit ...func(*job.JobDoc)) api.Lease {
		raw, d, _ := s.released(t, k, append([]func(*job.JobDoc){func(d *job.JobDoc) { d.Grant = id.Of(grant) }}, edit...)...)
		return api.Lease{Project: d.Project, Job: id.Of(raw), Doc: raw, Author: s.p.Owner.Raw, Grant: shown}
	}
	same := func(change func(*chain.GrantBody)) api.Lease { return lease(body(change), body(change)) }
	model := func(d *job.JobDoc) { d.Model = s.p.Put(t, []byte("another model")) }
	_, first, _ := s.released(t, k, func(d *job.JobDoc) { d.Grant = id.Of(good) })
	moved, d := s.p.NewJob(t, func(d *job.JobDoc) { d.Grant, d.Release = id.Of(good), first.Release })
	for name, c := range map[string]struct {
		l    api.Lease
		want error
	}{
		"no grant":                     {lease(good, nil), node.ErrScope},
		"a grant that is none":         {lease([]byte("grant"), []byte("grant")), node.ErrScope},
		"another grant, for any model": {lease(good, body(func(b *chain.GrantBody) { b.Models = nil }), model), node.ErrScope},
		"a model that is not granted":  {lease(good, good, model), node.ErrScope},
		"of another node":              {same(func(b *chain.GrantBody) { b.Node = other.Raw }), node.ErrScope},
		"ended":                        {same(func(b *chain.GrantBody) { b.NotAfter = time.Now().Unix() - 1 }), node.ErrScope},
		"of another key":               {same(func(b *chain.GrantBody) { b.Key = elsewhere.Point }), node.ErrKey},
		"no key at all":                {same(func(b *chain.GrantBody) { b.Key, b.AKName = nil, nil }), node.ErrKey},
		"the release of another job": {api.Lease{Project: d.Project, Job: id.Of(moved), Doc: moved, Author: s.p.Owner.Raw, Grant: good},
			grant.ErrTerms},
	} {
		if signed, err := node.RunLease(n, t.Context(), c.l); !errors.Is(err, c.want) || ran || signed != nil {
			t.Errorf("%s: %v, ran %v", name, err, ran)
		}
	}
	if signed, err := node.RunLease(n, t.Context(), lease(good, good)); err != nil || !ran || signed == nil {
		t.Errorf("control: %v", err)
	}
}

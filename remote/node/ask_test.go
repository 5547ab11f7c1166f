package node_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"cipherdeck/attest/channel"
	"cipherdeck/attest/host"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/node"
	rt "cipherdeck/remote/remotetest"
)

// answering runs the node with answer, and a runner that holds every job.
func (s *setup) answering(t *testing.T, answer node.Answer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	hold := runner(func(ctx context.Context, _ job.JobDoc, _ job.Blobs, _ progress.Sink) (job.Result, error) {
		<-ctx.Done()
		return job.Result{}, ctx.Err()
	})
	n := node.Node{Client: rt.Client(t, s.srv, s.node), Runner: hold, Identity: s.node.Key, Answer: answer}
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// A node is asked through the server while it works on a job, and answers; what
// it is not to blame for is told, what happened inside it is not.
func TestNodeIsAsked(t *testing.T) {
	s := start(t)
	s.answering(t, func(_ context.Context, kind string, body []byte) ([]byte, error) {
		switch string(body) {
		case "bad":
			return nil, fmt.Errorf("%w: empty nonce", channel.ErrChallenge)
		case "broken":
			return nil, errors.New("TPM is on fire")
		}
		return append([]byte(kind+" "), body...), nil
	})
	name, _ := s.submit(t)
	s.until(t, name, in(api.JobLeased))
	got, err := s.p.AskNode(t.Context(), s.node.UID, channel.KindAttest, []byte("challenge"))
	if err != nil || string(got) != "attest challenge" {
		t.Errorf("%q, %v", got, err)
	}
	for body, want := range map[string]string{"bad": "empty nonce", "broken": "it cannot attest"} {
		_, err := s.p.AskNode(t.Context(), s.node.UID, channel.KindAttest, []byte(body))
		if !errors.Is(err, api.ErrNodeRefused) {
			t.Errorf("%s: %v", body, err)
		}
		var e *api.Error
		if !errors.As(err, &e) || e.Cause != "the node says: "+want && e.Cause != "the node says: "+channel.ErrChallenge.Error()+": "+want {
			t.Errorf("%s: %v", body, err)
		}
	}
	_, err = s.p.AskNode(t.Context(), s.node.UID, "reboot", []byte("now"))
	if !errors.Is(err, api.ErrInvalid) {
		t.Errorf("another kind: %v", err)
	}
	_, err = s.p.AskNode(t.Context(), s.node.UID, channel.KindAttest, make([]byte, api.MaxQuestion+1))
	if !errors.Is(err, api.ErrInvalid) {
		t.Errorf("a long question: %v", err)
	}
	_, err = s.p.AskNode(t.Context(), rt.Node(t, "unknown").UID, channel.KindAttest, []byte("challenge"))
	if !errors.Is(err, api.ErrInvalid) {
		t.Errorf("a node that is not here: %v", err)
	}
}

// A machine proves itself through a real server, with its key enrolled, and its
// job key is of its TPM. Nobody else's answer passes for its own.
func TestMachineProvesItself(t *testing.T) {
	s := start(t)
	golden, err := node.Golden()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	policy := rt.Vouch(t, dir, golden)
	m, err := node.OpenMachine(host.Spec{TPM: "soft", Dir: dir}, s.node.UID[:], s.node.Key, slog.New(slog.DiscardHandler), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	s.answering(t, m.Answer)
	who := channel.NodeName{UID: s.node.UID[:], Key: s.node.Key.Public().(ed25519.PublicKey)}
	carry := func(ctx context.Context, kind string, body []byte) ([]byte, error) {
		return s.p.AskNode(ctx, s.node.UID, kind, body)
	}
	policy.Enrol = true
	v, tr, err := channel.AskNode(t.Context(), carry, who, *policy, "node", time.Now())
	if err != nil || v.Word() != "demo" || tr.Enrolled == nil {
		t.Fatalf("%v, %+v", err, v)
	}
	if key := channel.JobKeyOf(v); len(key) != 65 {
		t.Errorf("job key of %d bytes: %+v", len(key), v.Link("job.key"))
	}
	who.UID = rt.Node(t, "another").UID[:]
	if _, _, err := channel.AskNode(t.Context(), carry, who, *policy, "node", time.Now()); err == nil {
		t.Error("it passes for another node")
	}
}

package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/remote/api"
)

func asking(kind string) api.AskRequest { return api.AskRequest{Kind: kind, Body: []byte("challenge")} }

// What one asks, the node answers and nobody else.
func TestQuestionFindsItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox()
		alice, node, other := chain.UID{1}, chain.UID{2}, chain.UID{3}
		said := make(chan error, 1)
		go func() {
			body, err := m.ask(t.Context(), alice, node, asking("attest"))
			if string(body) != "evidence" {
				err = errors.Join(err, errors.New("body is "+string(body)))
			}
			said <- err
		}()
		q := m.asked(t.Context(), node, time.Minute)
		if q == nil || q.Kind != "attest" || string(q.Body) != "challenge" {
			t.Fatalf("the node got %+v", q)
		}
		if again := m.asked(t.Context(), node, 0); again != nil {
			t.Errorf("fetched twice: %+v", again)
		}
		if q := m.asked(t.Context(), other, 0); q != nil {
			t.Errorf("another node got %+v", q)
		}
		m.answered(other, api.NodeAnswer{ID: q.ID, Body: []byte("forged")})
		m.answered(node, api.NodeAnswer{ID: "another", Body: []byte("forged")})
		m.answered(node, api.NodeAnswer{ID: q.ID, Body: []byte("evidence")})
		m.answered(node, api.NodeAnswer{ID: q.ID, Body: []byte("second thought")})
		if err := <-said; err != nil {
			t.Error(err)
		}
		m.answered(node, api.NodeAnswer{ID: q.ID, Body: []byte("late")})
		m.empty(t)
	})
}

// empty fails when something of a question stayed.
func (m *mailbox) empty(t *testing.T) {
	t.Helper()
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.open)+len(m.by)+len(m.arrived.waiting) != 0 {
		t.Errorf("left behind: %v, %v, %v", m.open, m.by, m.arrived.waiting)
	}
}

// A node that fetches and says nothing, one that refuses, and who hangs up.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox()
		alice, node := chain.UID{1}, chain.UID{2}
		start := time.Now()
		go m.asked(t.Context(), node, time.Minute)
		if _, err := m.ask(t.Context(), alice, node, asking("attest")); !errors.Is(err, api.ErrNodeAway) || time.Since(start) != api.AskPatience {
			t.Errorf("silent: %v after %v", err, time.Since(start))
		}
		go func() {
			q := m.asked(t.Context(), node, time.Minute)
			m.answered(node, api.NodeAnswer{ID: q.ID, Refused: "no"})
		}()
		if _, err := m.ask(t.Context(), alice, node, asking("attest")); !errors.Is(err, api.ErrNodeRefused) {
			t.Errorf("refusing: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if _, err := m.ask(ctx, alice, node, asking("attest")); !errors.Is(err, context.Canceled) {
			t.Errorf("hung up: %v", err)
		}
		if q := m.asked(ctx, node, time.Minute); q != nil {
			t.Errorf("a question of nobody: %+v", q)
		}
		m.empty(t)
	})
}

// Nobody fills the server's memory, or keeps a node from being asked by others.
func TestQuestionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		node := chain.UID{9}
		for asker := range byte(2) {
			for range maxAskedBy {
				go m.ask(ctx, chain.UID{asker}, node, asking("attest"))
			}
			synctest.Wait()
			if _, err := m.ask(ctx, chain.UID{asker}, chain.UID{8}, asking("attest")); !errors.Is(err, api.ErrBusy) {
				t.Errorf("asker %d: %v", asker, err)
			}
		}
		if _, err := m.ask(ctx, chain.UID{7}, node, asking("attest")); !errors.Is(err, api.ErrBusy) {
			t.Errorf("a node with %d: %v", maxAskedOfNode, err)
		}
		cancel()
		m.empty(t)
	})
}

package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// Bounds of what waits.
const (
	maxAskedOfNode = 8 // open questions to one node
	maxAskedBy     = 4 // open questions of one account
)

// mailbox holds what clients ask nodes until the node answered or nobody waits
// any more. It is memory and nothing else: a question is worth its challenge,
// which is made anew for the next one.
type mailbox struct {
	patience time.Duration
	arrived  *hub // by node

	mu   sync.Mutex
	open map[chain.UID][]*question // by node, oldest first
	by   map[chain.UID]int         // by who asks
}

// question waits for its answer.
type question struct {
	api.Question
	taken  bool
	answer chan api.NodeAnswer // one
}

func newMailbox() *mailbox {
	return &mailbox{patience: api.AskPatience, arrived: newHub(), open: map[chain.UID][]*question{}, by: map[chain.UID]int{}}
}

// ask puts a question to node and waits for the answer.
func (m *mailbox) ask(ctx context.Context, asker, node chain.UID, q api.AskRequest) ([]byte, error) {
	mine, err := m.put(asker, node, q)
	if err != nil {
		return nil, err
	}
	defer m.drop(asker, node, mine)
	m.arrived.tell(node.String())
	over := time.NewTimer(m.patience)
	defer over.Stop()
	select {
	case a := <-mine.answer:
		if a.Refused != "" {
			return nil, &api.Error{Code: api.CodeNodeRefused, Cause: "the node says: " + a.Refused, Cure: "ask its operator; a node attests when it runs with --tpm"}
		}
		return a.Body, nil
	case <-over.C:
		return nil, &api.Error{Code: api.CodeNodeAway, Cause: "node " + node.Short() + " does not answer", Cure: "is it running, with --tpm?"}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *mailbox) put(asker, node chain.UID, q api.AskRequest) (*question, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.open[node]) >= maxAskedOfNode || m.by[asker] >= maxAskedBy {
		return nil, &api.Error{Code: api.CodeBusy, Cause: "too many questions to nodes wait for an answer", Cure: "wait until they are answered"}
	}
	mine := &question{Question: api.Question{ID: rand.Text(), Kind: q.Kind, Body: q.Body}, answer: make(chan api.NodeAnswer, 1)}
	m.open[node] = append(m.open[node], mine)
	m.by[asker]++
	return mine, nil
}

func (m *mailbox) drop(asker, node chain.UID, mine *question) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[node] = slices.DeleteFunc(m.open[node], func(q *question) bool { return q == mine })
	if len(m.open[node]) == 0 {
		delete(m.open, node)
	}
	if m.by[asker]--; m.by[asker] == 0 {
		delete(m.by, asker)
	}
}

// asked is the oldest question to node that it did not fetch yet, after at most
// wait; nil when there is none. A node fetches each one once.
func (m *mailbox) asked(ctx context.Context, node chain.UID, wait time.Duration) *api.Question {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		arrived, leave := m.arrived.wait(node.String())
		if q := m.take(node); q != nil || wait <= 0 {
			leave()
			return q
		}
		select {
		case <-arrived:
		case <-over.C:
			wait = 0
		case <-ctx.Done():
			leave()
			return nil // nobody is there to take it
		}
		leave()
	}
}

func (m *mailbox) take(node chain.UID) *api.Question {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.open[node] {
		if !q.taken {
			q.taken = true
			return &q.Question
		}
	}
	return nil
}

// answered gives a node's answer to who waits for it. One to a question that was
// put to another node, or that nobody waits for any more, is dropped.
func (m *mailbox) answered(node chain.UID, a api.NodeAnswer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.open[node] {
		if q.ID == a.ID {
			select {
			case q.answer <- a:
			default: // it was answered before
			}
		}
	}
}

// askNode carries a question to a node: of who may grant, to look at a machine
// before it is granted anything; and of who may send jobs, to one that is.
func (s *Server) askNode(c *call) error {
	uid, err := chain.ParseUID(c.r.PathValue("uid"))
	if err != nil {
		return denied()
	}
	st := c.head.state
	if !st.AllowsAt(c.who.UID, chain.OpGrant, s.now()) && !(st.AllowsAt(c.who.UID, chain.OpJob, s.now()) && st.Granted(uid, s.now())) {
		return denied()
	}
	var q api.AskRequest
	if err := c.json(&q); err != nil {
		return err
	}
	switch {
	case q.Kind != channel.KindAttest && q.Kind != channel.KindEnrol:
		return invalid("kind", "%.16q; want %q or %q", q.Kind, channel.KindAttest, channel.KindEnrol)
	case len(q.Body) == 0 || len(q.Body) > api.MaxQuestion:
		return invalid("body", "%d bytes, want 1 to %d", len(q.Body), api.MaxQuestion)
	}
	a, err := s.accounts.get(c.r.Context(), uid)
	if errors.Is(err, store.ErrNotFound) || err == nil && a.Kind != chain.Node {
		return invalid("uid", "%s is no node here", uid.Short())
	}
	if err != nil {
		return err
	}
	ctx, cancel := s.untilStop(c.r.Context())
	defer cancel()
	body, err := s.mail.ask(ctx, c.who.UID, uid, q)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.AskReply{Body: body})
}

func (s *Server) nodeAsked(c *call) error {
	wait, err := c.wait()
	if err != nil {
		return err
	}
	ctx, cancel := s.untilStop(c.r.Context())
	defer cancel()
	q := s.mail.asked(ctx, c.who.UID, wait)
	if q == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return c.answer(http.StatusOK, q)
}

func (s *Server) nodeAnswer(c *call) error {
	var a api.NodeAnswer
	if err := c.json(&a); err != nil {
		return err
	}
	switch {
	case len(a.Body) > api.MaxNodeAnswer:
		return invalid("body", "%d bytes, limit %d", len(a.Body), api.MaxNodeAnswer)
	case len(a.Refused) > api.MaxRefusal:
		return invalid("refused", "%d bytes, limit %d", len(a.Refused), api.MaxRefusal)
	case (len(a.Body) == 0) == (a.Refused == ""):
		return invalid("body", "want an answer, or why there is none")
	}
	s.mail.answered(c.who.UID, a)
	return c.answer(http.StatusOK, struct{}{})
}

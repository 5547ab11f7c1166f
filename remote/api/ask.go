package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"cipherdeck/crypto/chain"
)

// A node has no address. What a client asks it goes by way of the server, which
// keeps a question in memory until the node fetches it, and the answer until the
// client has it. The server learns and forges nothing that counts: see
// attest/channel, node.go.

// Bounds of questions to nodes.
const (
	MaxQuestion   = 4 << 10          // bytes of a question's body
	MaxNodeAnswer = 2<<20 + 64<<10   // bytes of an answer's body
	MaxRefusal    = 256              // bytes of why a node does not answer
	AskPatience   = 10 * time.Second // that a node has to answer
)

// AskRequest is a question to a node.
type AskRequest struct {
	Kind string `json:"kind"` // channel.KindAttest or channel.KindEnrol
	Body []byte `json:"body"`
}

// AskReply is what the node answered.
type AskReply struct {
	Body []byte `json:"body"`
}

// Question is a question as its node fetches it. ID is good for one answer.
type Question struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Body []byte `json:"body"`
}

// NodeAnswer is what a node says to a question: Body, or why it answers none.
type NodeAnswer struct {
	ID      string `json:"id"`
	Body    []byte `json:"body,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// AskNode asks a node that is granted in the project. Errors: ErrNodeAway when
// it did not answer within AskPatience, ErrNodeRefused when it would not,
// ErrForbidden for who may neither grant nor use it.
func (p *Project) AskNode(ctx context.Context, node chain.UID, kind string, body []byte) ([]byte, error) {
	q, err := request{method: http.MethodPost, path: p.path("nodes", node.String(), "ask"), again: true, wait: AskPatience}.
		asJSON(AskRequest{Kind: kind, Body: body})
	if err != nil {
		return nil, err
	}
	var r AskReply
	err = p.c.do(ctx, q, &r)
	return r.Body, err
}

// Asked waits for a question to this node; false when none came.
func (c *Client) Asked(ctx context.Context, wait time.Duration) (Question, bool, error) {
	v := url.Values{"wait": {wait.String()}}
	var q Question
	err := c.do(ctx, request{method: http.MethodPost, path: withQuery("/v1/node/asked", v), again: true, wait: wait}, &q)
	return q, err == nil && q.ID != "", err
}

// Answer answers a question. One that nobody waits for any more is no error.
func (c *Client) Answer(ctx context.Context, a NodeAnswer) error {
	q, err := request{method: http.MethodPost, path: "/v1/node/answer", again: true}.asJSON(a)
	if err != nil {
		return err
	}
	return c.do(ctx, q, nil)
}

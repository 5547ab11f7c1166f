package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"cipherdeck/crypto/id"
)

// HeaderPromise carries the journal's signed promise beside the answer to a
// document that was accepted: base64url of a tlog.Promise.
const HeaderPromise = "Cipherdeck-Promise"

// TypeText is that of checkpoints.
const TypeText = "text/plain; charset=utf-8"

// InclusionReply proves that a leaf is in the journal.
type InclusionReply struct {
	Index      uint64  `json:"index"`
	Path       []id.ID `json:"path"`
	Checkpoint []byte  `json:"checkpoint"` // signed note
}

// ConsistencyReply proves that an older journal is a beginning of this one.
type ConsistencyReply struct {
	Path       []id.ID `json:"path"`
	Checkpoint []byte  `json:"checkpoint"`
}

// EntriesReply is leaves in their order.
type EntriesReply struct {
	Leaves     [][]byte `json:"leaves"`
	Checkpoint []byte   `json:"checkpoint"`
}

// LeafProof is a leaf and its way to the root.
type LeafProof struct {
	Index uint64  `json:"index"`
	Leaf  []byte  `json:"leaf"`
	Path  []id.ID `json:"path"`
}

// ObjectReply is the leaves about one object.
type ObjectReply struct {
	Checkpoint []byte      `json:"checkpoint"`
	Proofs     []LeafProof `json:"proofs"`
}

// None of the methods below verifies anything: they fetch what is then held
// against a pinned key, with package tlog.

// Checkpoint is the newest signed state of the server's journal.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	var raw []byte
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/journal/checkpoint", again: true}, &raw)
	return raw, err
}

// Cosigned brings a witness's signature line on the newest checkpoint. Errors
// wrap ErrForbidden when the server does not count the witness, and ErrConflict
// when there is a newer checkpoint by now.
func (c *Client) Cosigned(ctx context.Context, line []byte) error {
	return c.do(ctx, request{method: http.MethodPost, path: "/v1/journal/cosignature", body: line, typ: TypeText, again: true}, nil)
}

// Inclusion asks for the proof of a leaf, by its hash, in the journal of size, or
// in the newest when that is 0; ErrNotFound while it is only promised.
func (c *Client) Inclusion(ctx context.Context, leaf id.ID, size uint64) (r InclusionReply, err error) {
	err = c.journal(ctx, "proof/inclusion", url.Values{"leaf": {leaf.String()}, "size": {number(size)}}, &r)
	return r, err
}

// Consistency asks for the proof that the journal of from leaves is a beginning
// of that of size; ErrNotFound when the journal is smaller.
func (c *Client) Consistency(ctx context.Context, from, size uint64) (r ConsistencyReply, err error) {
	err = c.journal(ctx, "proof/consistency", url.Values{"from": {number(from)}, "size": {number(size)}}, &r)
	return r, err
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// Entries asks for leaves from a number on.
func (c *Client) Entries(ctx context.Context, from uint64, n int) (r EntriesReply, err error) {
	err = c.journal(ctx, "entries", url.Values{"from": {number(from)}, "n": {strconv.Itoa(n)}}, &r)
	return r, err
}

// Object asks for the leaves about an object, by its tag, in the journal of size.
func (c *Client) Object(ctx context.Context, tag id.ID, size uint64) (r ObjectReply, err error) {
	err = c.journal(ctx, "object/"+tag.String(), url.Values{"size": {number(size)}}, &r)
	return r, err
}

func (c *Client) journal(ctx context.Context, what string, v url.Values, into any) error {
	return c.do(ctx, request{method: http.MethodGet, path: withQuery("/v1/journal/"+what, v), again: true}, into)
}

// promised hands the promise of an answer on, unread, with the document that it
// must be about. A document that was taken without one could be forgotten, and
// nobody could show that it was ever there.
func (c *Client) promised(q request, rsp *http.Response) error {
	text := rsp.Header.Get(HeaderPromise)
	switch {
	case c.cfg.OnPromise == nil || rsp.StatusCode >= 300:
		return nil
	case text == "" && q.signed:
		return fmt.Errorf("%w: it took a document and did not promise to record it", ErrServer)
	case text == "":
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("%w: a promise that is not base64", ErrServer)
	}
	if !q.signed {
		return c.cfg.OnPromise(nil, raw)
	}
	return c.cfg.OnPromise(q.body, raw)
}

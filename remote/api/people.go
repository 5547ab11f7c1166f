package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// MaxLinks is how many links one answer to Links has at most.
const MaxLinks = 1024

// Bounds of what members leave for each other, in bytes.
const (
	MaxAnswer = chain.MaxLink // to an invitation
	MaxSeen   = 1 << 10       // a word about the head
)

// PutAccept hands in the answer to an invitation. The caller need not be a
// member; ErrForbidden when there is no such open invitation.
func (p *Project) PutAccept(ctx context.Context, i chain.InviteID, raw []byte) error {
	return p.c.do(ctx, request{method: http.MethodPut, path: p.path("accepts", i.String()), body: raw, typ: TypeCBOR, again: true}, nil)
}

// Accepts are the answers to the open invitations.
func (p *Project) Accepts(ctx context.Context) ([][]byte, error) {
	return p.list(ctx, p.path("accepts"))
}

// Say leaves the caller's word about the head that he has verified.
func (p *Project) Say(ctx context.Context, raw []byte) error {
	return p.c.do(ctx, request{method: http.MethodPut, path: p.path("seen"), body: raw, typ: TypeCBOR, again: true}, nil)
}

// Statements are the words of all members.
func (p *Project) Statements(ctx context.Context) ([][]byte, error) {
	return p.list(ctx, p.path("seen"))
}

// Links is the link called tip and those before it, newest first, at most n:
// fewer when they would not fit into one answer.
func (p *Project) Links(ctx context.Context, tip id.ID, n int) ([][]byte, error) {
	return p.list(ctx, withQuery(p.path("links"), url.Values{"tip": {tip.String()}, "n": {strconv.Itoa(min(n, MaxLinks))}}))
}

func (p *Project) list(ctx context.Context, path string) ([][]byte, error) {
	var raw []byte
	if err := p.c.do(ctx, request{method: http.MethodGet, path: path, again: true}, &raw); err != nil {
		return nil, err
	}
	var all [][]byte
	if err := doc.Decode(raw, &all); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrServer, err)
	}
	return all, nil
}

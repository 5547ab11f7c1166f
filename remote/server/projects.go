package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// maxLinks bounds the walk back through a project.
const maxLinks = 1 << 20

// projects are the heads of the chains and what they lead to.
type projects struct {
	docs  store.Docs
	blobs *blobs
	known *cache[id.ID, *chain.State]
}

// head is a project as it stands: its newest link, verified from the genesis.
type head struct {
	state *chain.State
	raw   []byte
	rev   store.Rev
}

// get is the head of pid; store.ErrNotFound for an unknown one.
func (p *projects) get(ctx context.Context, pid id.ID) (head, error) {
	d, err := p.docs.Get(ctx, headKey(pid))
	if err != nil {
		return head{}, err
	}
	s, err := p.state(ctx, pid, d.Body)
	return head{state: s, raw: d.Body, rev: d.Rev}, err
}

// state is the cached state of a link, or is computed from the last cached one.
func (p *projects) state(ctx context.Context, pid id.ID, raw []byte) (*chain.State, error) {
	s, _ := p.known.get(pid)
	if s != nil && s.Head == id.Of(raw) {
		return s, nil
	}
	s, err := p.rebuild(ctx, pid, raw, s)
	if err != nil {
		return nil, fmt.Errorf("project %s: %w: %w", pid, store.ErrCorrupt, err)
	}
	p.known.put(s.Project, s)
	return s, nil
}

// rebuild walks back from raw to known, or to the genesis, and verifies forward.
func (p *projects) rebuild(ctx context.Context, pid id.ID, raw []byte, known *chain.State) (*chain.State, error) {
	var links [][]byte
	for len(links) < maxLinks {
		links = append(links, raw)
		prev, _, err := chain.PrevOf(raw)
		if err != nil {
			return nil, err
		}
		if prev.IsZero() || known != nil && prev == known.Head {
			if prev.IsZero() {
				known = nil
			}
			return forward(pid, links, known)
		}
		if raw, err = p.blobs.read(ctx, pid, prev, chain.MaxLink); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("more than %d links", maxLinks)
}

// forward verifies links, given newest first, on top of s.
func forward(pid id.ID, links [][]byte, s *chain.State) (*chain.State, error) {
	for _, raw := range slices.Backward(links) {
		var err error
		if s == nil {
			s, err = chain.Begin(raw)
		} else {
			s, err = s.Next(raw)
		}
		if err != nil {
			return nil, err
		}
	}
	if s.Project != pid {
		return nil, fmt.Errorf("genesis is that of %s", s.Project)
	}
	return s, nil
}

// create stores a genesis and makes it the head; again is no error.
func (p *projects) create(ctx context.Context, raw []byte, s *chain.State) error {
	room, err := p.blobs.of(ctx, s.Project)
	if err != nil {
		return err
	}
	if err := room.Put(ctx, s.Head, int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return err
	}
	if err := p.index(ctx, s, nil); err != nil {
		return err
	}
	_, err = p.docs.Put(ctx, headKey(s.Project), raw, 0)
	if errors.Is(err, store.ErrConflict) {
		return nil // the id is the hash of the genesis: it is this one
	}
	return err
}

// advance makes raw the head after h, if h is still the head.
func (p *projects) advance(ctx context.Context, h head, raw []byte) (*chain.State, store.Rev, error) {
	next, err := h.state.Next(raw)
	if err != nil {
		return nil, 0, err
	}
	// A link is a blob too; who may not write blobs may still make some links.
	room, err := p.blobs.of(ctx, next.Project)
	if err != nil {
		return nil, 0, err
	}
	if err := room.Put(ctx, next.Head, int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return nil, 0, err
	}
	if err := p.index(ctx, next, h.state); err != nil {
		return nil, 0, err
	}
	rev, err := p.docs.Put(ctx, headKey(next.Project), raw, h.rev)
	if err != nil {
		return nil, 0, err
	}
	p.known.put(next.Project, next)
	return next, rev, nil
}

// index notes who became a member, for of. It is written before the head, so
// it may name too many projects but never too few; of looks at the heads.
func (p *projects) index(ctx context.Context, s, before *chain.State) error {
	for u := range s.Members {
		if before != nil {
			if _, old := before.Members[u]; old {
				continue
			}
		}
		_, err := p.docs.Put(ctx, memberKey(u, s.Project), nil, 0)
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// of lists the projects in which u has a role.
func (p *projects) of(ctx context.Context, u chain.UID) ([]id.ID, error) {
	all := []id.ID{}
	for d, err := range p.docs.List(ctx, memberKeys(u)) {
		if err != nil {
			return nil, err
		}
		pid, err := id.Parse(d.Key[strings.LastIndexByte(d.Key, '/')+1:])
		if err != nil {
			return nil, fmt.Errorf("%w: index of %s", store.ErrCorrupt, u)
		}
		h, err := p.get(ctx, pid)
		if errors.Is(err, store.ErrNotFound) {
			continue // noted, but its head was never written
		}
		if err != nil {
			return nil, err
		}
		if _, ok := h.state.Members[u]; ok {
			all = append(all, pid)
		}
	}
	return all, nil
}

func headKey(pid id.ID) string                { return "heads/" + pid.String() }
func memberKeys(u chain.UID) string           { return "members/" + u.String() }
func memberKey(u chain.UID, pid id.ID) string { return memberKeys(u) + "/" + pid.String() }

package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// ErrMissing says that a blob is not there which a project or a job needs.
var ErrMissing = errors.New("a blob is missing that a project or a job needs")

// Checked is what a store holds that was verified.
type Checked struct {
	Accounts int    `json:"accounts"`
	Projects int    `json:"projects"`
	Links    uint64 `json:"links"`
	Jobs     int    `json:"jobs"`
}

// Check verifies what the store says: each account by its signature, each project
// link by link from its genesis, with the blobs that its links name, each job by
// its form and its blobs. What is encrypted nobody here can check.
func (s *Server) Check(ctx context.Context) (c Checked, err error) {
	for d, err := range s.engine.Docs().List(ctx, "") {
		if err != nil {
			return c, err
		}
		kind, rest, _ := strings.Cut(d.Key, "/")
		switch kind {
		case "accounts":
			err = s.checkAccount(ctx, rest)
			c.Accounts++
		case "heads":
			var links uint64
			links, err = s.checkProject(ctx, rest)
			c.Links += links
			c.Projects++
		case "jobs":
			err = s.checkJob(ctx, d)
			c.Jobs++
		}
		if err != nil {
			return c, fmt.Errorf("document %s: %w", d.Key, err)
		}
	}
	return c, nil
}

func (s *Server) checkAccount(ctx context.Context, text string) error {
	u, err := chain.ParseUID(text)
	if err == nil {
		_, err = s.accounts.get(ctx, u)
	}
	return err
}

func (s *Server) checkProject(ctx context.Context, text string) (uint64, error) {
	pid, err := id.Parse(text)
	if err != nil {
		return 0, err
	}
	h, err := s.projects.get(ctx, pid)
	if errors.Is(err, store.ErrNotFound) {
		return 0, fmt.Errorf("%w: %w", ErrMissing, err) // a link
	}
	if err != nil {
		return 0, err
	}
	_, seq, err := chain.PrevOf(h.raw)
	if err != nil {
		return 0, err
	}
	return seq, s.present(ctx, pid, append(named(h.state), h.state.Head))
}

// named is the blobs that a project's state names itself: wrapped keys and index.
func named(st *chain.State) (ids []id.ID) {
	for _, e := range st.Epochs {
		ids = append(ids, e.Wraps)
	}
	if !st.Index.IsZero() {
		ids = append(ids, st.Index)
	}
	return ids
}

func (s *Server) checkJob(ctx context.Context, d store.Doc) error {
	n, err := parseName(d.Key)
	if err != nil {
		return err
	}
	r, err := parseRecord(d)
	if err != nil {
		return err
	}
	j, err := r.doc()
	if err != nil {
		return err
	}
	if r.State != api.JobQueued && r.State != api.JobLeased {
		return nil // what an ended job needed may have been collected
	}
	return s.present(ctx, n.project, []id.ID{j.Plan, j.Model, j.Inputs})
}

// present is nil when the blobs are there.
func (s *Server) present(ctx context.Context, pid id.ID, ids []id.ID) error {
	room, err := s.blobs.of(ctx, pid)
	if err != nil {
		return err
	}
	have, err := room.Has(ctx, ids)
	if err != nil {
		return err
	}
	for n, ok := range have {
		if !ok {
			return fmt.Errorf("%w: blob %s of project %s", ErrMissing, ids[n], pid)
		}
	}
	return nil
}

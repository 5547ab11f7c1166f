package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// The server cannot see what the items of a project need: their pieces are
// named in an encrypted index. So an owner says what is needed, and nothing
// goes because he said so once: a blob is marked by one list that lacks it, and
// deleted by a later one that still lacks it when the grace is over. What the
// server does understand, the chain and the jobs, it keeps in any case.

// maxBatches bounds a list of batches that a job names.
const maxBatches = 4 << 20

func (s *Server) collect(c *call) error {
	raw, err := c.raw()
	if err != nil {
		return err
	}
	dry := c.r.URL.Query().Get("dry") != ""
	live, err := c.head.state.OpenLive(raw, s.now())
	if err != nil {
		return err
	}
	if live.Author != c.who.UID {
		return denied()
	}
	shelf, err := s.blobs.of(c.r.Context(), c.pid)
	if err != nil {
		return err
	}
	if !shelf.collecting.TryLock() {
		return &api.Error{Code: api.CodeConflict, Cause: "somebody is collecting in this project", Cure: "wait until it is done"}
	}
	defer shelf.collecting.Unlock()
	g := garbage{shelf: shelf, now: s.now(), grace: time.Duration(s.cfg.GraceHours) * time.Hour, began: s.blobs.began, dry: dry}
	g.note = func(ctx context.Context, ids []id.ID) error { return s.collected(ctx, c.pid, id.Of(raw), g.now, ids) }
	if g.keep, err = s.needed(c.r.Context(), c.head, live); err != nil {
		return err
	}
	if !dry {
		if err := s.accepting(); err != nil {
			return err
		}
		if err := s.record(c, liveEntry(live, raw)); err != nil {
			return err
		}
	}
	r, err := g.run(c.r.Context())
	if err != nil {
		return err
	}
	if !dry {
		if err := shelf.save(c.r.Context(), s.engine.Docs(), c.pid, raw, s.cfg.MaxBlobBytes); err != nil {
			return err
		}
		s.log.Info("collected", "project", c.pid.Short(), "blobs", r.Blobs, "marked", r.Marked, "deleted", r.Deleted, "bytes", r.DeletedBytes)
	}
	return c.answer(http.StatusOK, r)
}

// needed is everything that the owner's list, the chain or a job names.
func (s *Server) needed(ctx context.Context, h head, live chain.Live) (map[id.ID]struct{}, error) {
	keep := map[id.ID]struct{}{}
	add := func(i id.ID) { keep[i] = struct{}{} }
	var last id.ID
	for _, l := range live.Lists {
		blob, err := s.blobs.read(ctx, h.state.Project, l, chain.MaxLiveList)
		if err != nil {
			return nil, err
		}
		if last, err = chain.ReadLive(blob, last, add); err != nil {
			return nil, err
		}
	}
	if n := uint64(len(keep)); n != live.Count {
		return nil, fmt.Errorf("%w: %d ids, it says %d", chain.ErrLive, n, live.Count)
	}
	for _, l := range live.Lists {
		add(l)
	}
	if err := s.projects.names(ctx, h, add); err != nil {
		return nil, err
	}
	return keep, s.jobs.names(ctx, h.state.Project, add)
}

// names are the blobs that the chain itself names: every link, the wrapped keys
// of every epoch, the newest index.
func (p *projects) names(ctx context.Context, h head, add func(id.ID)) error {
	add(h.state.Head)
	add(h.state.Index)
	for _, e := range h.state.Epochs {
		add(e.Wraps)
	}
	for raw := h.raw; ; {
		prev, _, err := chain.PrevOf(raw)
		if err != nil || prev.IsZero() {
			return err
		}
		add(prev)
		if raw, err = p.blobs.read(ctx, h.state.Project, prev, chain.MaxLink); err != nil {
			return err
		}
	}
}

// names are the blobs that jobs of a project name, finished ones too, since
// whoever asked for one may still want to read its result.
func (j *jobs) names(ctx context.Context, pid id.ID, add func(id.ID)) error {
	for d, err := range j.records.docs.List(ctx, jobKeys(pid)) {
		if err != nil {
			return err
		}
		r, err := parseRecord(d)
		if err != nil {
			return err
		}
		doc, err := r.doc()
		if err != nil {
			return err
		}
		add(doc.Plan)
		add(doc.Model)
		add(doc.Keys)
		batches := []id.ID{doc.Inputs}
		if out, ok := r.outputs(); ok {
			batches = append(batches, out)
		}
		for _, b := range batches {
			add(b)
			if err := j.batchNames(ctx, pid, b, add); err != nil {
				return err
			}
		}
	}
	return nil
}

// outputs is the list of batches that a result names.
func (r *record) outputs() (id.ID, bool) {
	var s doc.Signed
	var res job.Result
	if len(r.Result) == 0 || doc.Decode(r.Result, &s) != nil || doc.Decode(s.Body, &res) != nil {
		return id.ID{}, false
	}
	return res.Outputs, true
}

// batchNames are the batches in the list b. What is no list names nothing.
func (j *jobs) batchNames(ctx context.Context, pid, b id.ID, add func(id.ID)) error {
	raw, err := j.blobs.read(ctx, pid, b, maxBatches)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	var set job.BatchSet
	if doc.Decode(raw, &set) == nil {
		for _, i := range set.Batches {
			add(i)
		}
	}
	return nil
}

// garbage is one collection.
type garbage struct {
	shelf *shelf
	keep  map[id.ID]struct{}
	now   time.Time
	began time.Time // of this process
	grace time.Duration
	dry   bool
	note  func(context.Context, []id.ID) error // puts what will be deleted into the journal
}

// run marks what is not needed and deletes what was not needed for the grace.
// Broken off, it has deleted some of that, and another run does the rest.
func (g garbage) run(ctx context.Context) (api.CollectReply, error) {
	r := api.CollectReply{GraceHours: int(g.grace / time.Hour), Dry: g.dry}
	var over []store.BlobInfo
	for info, err := range g.shelf.Blobs.List(ctx) {
		if err != nil {
			return r, err
		}
		if info.ID == g.shelf.kept {
			continue
		}
		r.Blobs, r.Bytes = r.Blobs+1, r.Bytes+info.Size
		if _, needed := g.keep[info.ID]; needed {
			if !g.dry {
				g.shelf.touch(info.ID)
			}
			continue
		}
		if !g.over(info) {
			r.Marked, r.MarkedBytes = r.Marked+1, r.MarkedBytes+info.Size
			continue
		}
		over = append(over, info)
		if len(over) == maxCollected {
			if err := g.delete(ctx, over, &r); err != nil {
				return r, err
			}
			over = over[:0]
		}
	}
	return r, g.delete(ctx, over, &r)
}

// delete deletes what is still marked, after the journal has that it will. So
// nothing goes of which there is no record; what somebody puts again in between
// is named there and stays.
func (g garbage) delete(ctx context.Context, over []store.BlobInfo, r *api.CollectReply) error {
	if len(over) == 0 {
		return nil
	}
	if !g.dry {
		ids := make([]id.ID, len(over))
		for n, info := range over {
			ids[n] = info.ID
		}
		if err := g.note(ctx, ids); err != nil {
			return err
		}
	}
	for _, info := range over {
		if !g.dry {
			gone, err := g.shelf.sweep(ctx, info.ID)
			if err != nil {
				return err
			}
			if !gone {
				continue
			}
		}
		r.Deleted, r.DeletedBytes = r.Deleted+1, r.DeletedBytes+info.Size
	}
	return nil
}

// over marks a blob that is not needed and says whether it was not for the grace.
func (g garbage) over(info store.BlobInfo) bool {
	since := g.now
	if g.dry {
		since = g.shelf.since(info.ID, g.now)
	} else {
		since = g.shelf.mark(info.ID, g.now)
	}
	// Somebody who put it after it was marked, before this process began, took
	// a mark away that was not saved: only the time of the blob tells.
	put := info.At
	if put.IsZero() && since.Before(g.began) {
		put = g.began
	}
	if put.After(since) {
		since = put
	}
	return g.now.Sub(since) >= g.grace && !since.Equal(g.now)
}

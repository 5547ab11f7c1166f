package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	"cipherdeck/remote/store"
)

func (s *Server) meta(c *call) error {
	n, last := s.alerts.seen()
	return c.answer(http.StatusOK, api.Meta{Version: "v1", Product: s.cfg.Product, Enrolment: s.cfg.Enrolment,
		MaxBlob: s.cfg.MaxBlobBytes, MaxHave: api.MaxHave, LeaseSeconds: s.cfg.LeaseSeconds, MayLose: s.engine.Unsynced(),
		SFTP: s.SFTP(), SSHKey: s.sshKey,
		Journal: s.journal.Key().String(), Alerts: n, LastAlert: last})
}

func (s *Server) attest(c *call) error {
	s.responder.ServeHTTP(c.w, c.r)
	return nil
}

func (s *Server) listProjects(c *call) error {
	all, err := s.projects.of(c.r.Context(), c.who.UID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.ProjectsReply{Projects: all})
}

func (s *Server) createProject(c *call) error {
	raw, err := c.raw()
	if err != nil {
		return err
	}
	st, err := chain.Begin(raw)
	if err != nil {
		return err
	}
	if st.Last.Author != c.who.UID {
		return denied()
	}
	if err := s.accepting(); err != nil {
		return err
	}
	if err := s.projects.create(c.r.Context(), raw, st); err != nil {
		return err
	}
	if err := s.record(c, linkEntry(st.Project, &st.Last, raw)); err != nil {
		return err
	}
	return c.answer(http.StatusCreated, api.ProjectReply{Project: st.Project})
}

func (s *Server) getHead(c *call) error {
	c.w.Header().Set("ETag", etag(c.head.rev))
	return c.bytes(http.StatusOK, api.TypeCBOR, c.head.raw)
}

func (s *Server) putHead(c *call) error {
	raw, err := c.raw()
	if err != nil {
		return err
	}
	match := c.r.Header.Get("If-Match")
	if _, err := strconv.ParseUint(strings.Trim(match, `"`), 10, 64); err != nil {
		return invalid("If-Match", "want the revision of the head, as in its ETag")
	}
	if match != etag(c.head.rev) {
		return &api.Error{Code: api.CodeConflict, Cause: "the head is at revision " + etag(c.head.rev), Cure: "read the head and make the link anew"}
	}
	ctx := c.r.Context()
	// A member may not hand in what another one signed: only its author knows
	// whether a link that he made was meant to be sent.
	next, err := c.head.state.Next(raw)
	if err != nil {
		return err
	}
	if next.Last.Author != c.who.UID {
		return denied()
	}
	if err := s.accepting(); err != nil {
		return err
	}
	if err := s.fresh(c.who, next.Last); err != nil {
		return err
	}
	_, rev, err := s.projects.advance(ctx, c.head, raw)
	if err != nil {
		return err
	}
	if err := s.record(c, linkEntry(next.Project, &next.Last, raw)); err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag(rev))
	return c.answer(http.StatusOK, api.RevReply{Rev: uint64(rev)})
}

// fresh refuses a link of a device that its owner has revoked, though the
// project does not know that yet, and one that is not dated now: rights that end
// at a time must not be used with a link that claims to be older.
func (s *Server) fresh(who *chain.Account, l chain.Link) error {
	if _, ok := who.Valid(l.Device); !ok && l.V > 1 {
		return denied()
	}
	if d := s.now().Sub(time.UnixMilli(l.Time)).Abs(); d > auth.MaxSkew {
		return invalid("time", "the link is dated %s away from the server's clock, limit %s", d.Round(time.Second), auth.MaxSkew)
	}
	return nil
}

func etag(r store.Rev) string { return `"` + strconv.FormatUint(uint64(r), 10) + `"` }

func (s *Server) have(c *call) error {
	var q api.HaveRequest
	if err := c.json(&q); err != nil {
		return err
	}
	if len(q.IDs) > api.MaxHave {
		return invalid("ids", "%d ids, limit %d", len(q.IDs), api.MaxHave)
	}
	room, err := s.blobs.of(c.r.Context(), c.pid)
	if err != nil {
		return err
	}
	have, err := room.Has(c.r.Context(), q.IDs)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.HaveReply{Have: have})
}

func (s *Server) putBlob(c *call) error {
	i, err := c.blobID()
	if err != nil {
		return err
	}
	if c.r.ContentLength < 0 {
		return invalid("Content-Length", "the length must be known")
	}
	room, err := s.blobs.of(c.r.Context(), c.pid)
	if err != nil {
		return err
	}
	if err := room.Put(c.r.Context(), i, c.r.ContentLength, c.r.Body); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return invalid("body", "it broke off")
		}
		return err
	}
	return c.answer(http.StatusCreated, struct{}{})
}

func (s *Server) getBlob(c *call) error {
	i, err := c.blobID()
	if err != nil {
		return err
	}
	room, err := s.blobs.of(c.r.Context(), c.pid)
	if err != nil {
		return err
	}
	r, size, err := room.Get(c.r.Context(), i)
	if err != nil {
		return err
	}
	defer r.Close()
	off, n, err := c.part(size)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, r, off); err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", api.TypeBytes)
	c.w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	if sent, err := io.CopyN(c.w, r, n); err != nil {
		if errors.Is(err, store.ErrCorrupt) {
			s.log.Error("blob is damaged", "err", err)
			if n == size {
				// The client holds a whole blob against its name: it shall see
				// that the bytes are wrong, not that the way to them broke.
				_, err = c.w.Write(make([]byte, n-sent))
				return err
			}
		}
		// The length is announced already: only a broken connection tells the
		// client that what it has is not the blob.
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (c *call) blobID() (id.ID, error) {
	i, err := id.Parse(c.r.PathValue("id"))
	if err != nil {
		return i, invalid("id", "%v", err)
	}
	return i, nil
}

// part reads off and n, which may be left out: the whole.
func (c *call) part(size int64) (off, n int64, err error) {
	n = -1
	for name, into := range map[string]*int64{"off": &off, "n": &n} {
		if v := c.r.URL.Query().Get(name); v != "" {
			if *into, err = strconv.ParseInt(v, 10, 64); err != nil {
				return 0, 0, invalid(name, "want a number")
			}
		}
	}
	if off < 0 || off > size {
		return 0, 0, invalid("off", "%d, the blob has %d bytes", off, size)
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	return off, n, nil
}

func (s *Server) submitJob(c *call) error {
	raw, err := c.raw()
	if err != nil {
		return err
	}
	if err := s.accepting(); err != nil {
		return err
	}
	name, err := s.jobs.submit(c.r.Context(), c.head.state, c.who, raw)
	if err != nil {
		return err
	}
	if err := s.record(c, jobEntry(jobName{c.pid, name}, raw, c.who.UID)); err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, api.JobReply{Job: name})
}

func (s *Server) listJobs(c *call) error {
	all, err := s.jobs.list(c.r.Context(), c.pid)
	if err != nil {
		return err
	}
	page, more, err := pageOf(all, c.r.URL.Query().Get("past"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.JobsReply{Jobs: page, More: more})
}

// pageOf is the jobs after the one that past names, at most api.MaxJobs, and
// whether there are more.
func pageOf(all []api.JobStatus, past string) ([]api.JobStatus, bool, error) {
	if past != "" {
		n := slices.IndexFunc(all, func(s api.JobStatus) bool { return s.ID.String() == past })
		if n < 0 {
			return nil, false, invalid("past", "there is no such job")
		}
		all = all[n+1:]
	}
	return all[:min(len(all), api.MaxJobs)], len(all) > api.MaxJobs, nil
}

func (s *Server) getJob(c *call) error {
	i, err := c.blobID()
	if err != nil {
		return err
	}
	wait, err := c.wait()
	if err != nil {
		return err
	}
	var after uint64
	if v := c.r.URL.Query().Get("after"); v != "" {
		if after, err = strconv.ParseUint(v, 10, 64); err != nil {
			return invalid("after", "want the revision of the last status")
		}
	}
	ctx, cancel := s.untilStop(c.r.Context())
	defer cancel()
	st, err := s.jobs.status(ctx, jobName{c.pid, i}, wait, after)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, st)
}

func (s *Server) nodeLease(c *call) error {
	wait, err := c.wait()
	if err != nil {
		return err
	}
	ctx, cancel := s.untilStop(c.r.Context())
	defer cancel()
	l, err := s.jobs.lease(ctx, c.who, wait)
	if err != nil {
		return err
	}
	if l == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return c.answer(http.StatusOK, l)
}

func (s *Server) nodeExtend(c *call) error {
	if err := s.reported(c, s.jobs.extend); err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.ExtendReply{Seconds: s.cfg.LeaseSeconds})
}

func (s *Server) nodeComplete(c *call) error {
	err := s.reported(c, func(ctx context.Context, node *chain.Account, q api.LeaseReport) error {
		if err := s.accepting(); err != nil {
			return err
		}
		if err := s.jobs.complete(ctx, node, q); err != nil {
			return err
		}
		return s.record(c, resultEntry(name(q), q.Result, node.UID))
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

func (s *Server) nodeFail(c *call) error {
	if err := s.reported(c, s.jobs.fail); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

func (s *Server) reported(c *call, do func(context.Context, *chain.Account, api.LeaseReport) error) error {
	var q api.LeaseReport
	if err := c.json(&q); err != nil {
		return err
	}
	q.Reason, q.Phase = shown(q.Reason), shown(q.Phase)
	return do(c.r.Context(), c.who, q)
}

// shown makes a node's words safe and short enough for a screen.
func shown(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

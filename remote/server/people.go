package server

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// What members leave for each other here is not understood by the server: it is
// signed, and verified by who reads it. The server sees to it only that everybody
// writes in his own place and that nobody fills the store.

// putAccept keeps the answer of the caller to an open invitation. Who invited
// knows the secret that makes it worth something.
func (s *Server) putAccept(c *call) error {
	pid, err := id.Parse(c.r.PathValue("pid"))
	if err != nil {
		return denied()
	}
	raw, err := hex.DecodeString(c.r.PathValue("invite"))
	if err != nil || len(raw) != len(chain.InviteID{}) {
		return invalid("invite", "want %d bytes in hex", len(chain.InviteID{}))
	}
	h, err := s.projects.get(c.r.Context(), pid)
	if errors.Is(err, store.ErrNotFound) {
		return denied()
	}
	if err != nil {
		return err
	}
	i := chain.InviteID(raw)
	v, ok := h.state.Invites[i]
	if !ok || !s.now().Before(v.NotAfter) {
		return denied() // as for a project that is not there
	}
	body, err := c.raw()
	if err != nil {
		return err
	}
	if err := s.leave(c, acceptKeys(pid)+"/"+i.String()+"/"+c.who.UID.String(), acceptKeys(pid)+"/"+i.String(), body); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

// listAccepts gives the answers to invitations that are open, and forgets those
// to others.
func (s *Server) listAccepts(c *call) error {
	out := [][]byte{}
	for d, err := range s.projects.docs.List(c.r.Context(), acceptKeys(c.pid)) {
		if err != nil {
			return err
		}
		raw, _ := hex.DecodeString(d.Key[len(acceptKeys(c.pid))+1:][:2*len(chain.InviteID{})])
		if v, ok := c.head.state.Invites[chain.InviteID(raw)]; ok && s.now().Before(v.NotAfter) {
			out = append(out, d.Body)
		} else if err := s.projects.docs.Delete(c.r.Context(), d.Key, d.Rev); err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return c.list(out)
}

// putSeen keeps the caller's word about the head that he has verified.
func (s *Server) putSeen(c *call) error {
	body, err := c.raw()
	if err != nil {
		return err
	}
	if err := s.leave(c, seenKeys(c.pid)+"/"+c.who.UID.String(), "", body); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

// listSeen gives the words of all.
func (s *Server) listSeen(c *call) error {
	out := [][]byte{}
	for d, err := range s.projects.docs.List(c.r.Context(), seenKeys(c.pid)) {
		if err != nil {
			return err
		}
		out = append(out, d.Body)
	}
	return c.list(out)
}

// maxAnswers bounds the answers to one invitation.
const maxAnswers = 16

// leave writes body at key, whatever was there. below, when it is not empty, may
// have maxAnswers documents.
func (s *Server) leave(c *call, key, below string, body []byte) error {
	ctx := c.r.Context()
	n := 0
	if below != "" {
		for d, err := range s.projects.docs.List(ctx, below) {
			if err != nil {
				return err
			}
			if d.Key != key {
				n++
			}
		}
	}
	if n >= maxAnswers {
		return &api.Error{Code: api.CodeTooLarge, Cause: "there are too many answers to this invitation", Cure: "ask for a new one"}
	}
	for {
		d, err := s.projects.docs.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err = s.projects.docs.Put(ctx, key, body, d.Rev); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// getLinks gives the link called tip and those before it, newest first, at most
// n and as many as fit: a walk through a chain without a request for each link.
func (s *Server) getLinks(c *call) error {
	tip, err := id.Parse(c.r.URL.Query().Get("tip"))
	if err != nil {
		return invalid("tip", "want the id of a link")
	}
	n, err := strconv.Atoi(c.r.URL.Query().Get("n"))
	if err != nil || n < 1 {
		return invalid("n", "want a number of links")
	}
	out := [][]byte{}
	for size := 0; len(out) < min(n, api.MaxLinks) && !tip.IsZero(); {
		raw, err := s.blobs.read(c.r.Context(), c.pid, tip, chain.MaxLink)
		if err != nil {
			return err
		}
		if size += len(raw); size > maxLinksAnswer && len(out) > 0 {
			break
		}
		prev, _, err := chain.PrevOf(raw)
		if err != nil {
			return invalid("tip", "that blob is not a link")
		}
		out, tip = append(out, raw), prev
	}
	return c.list(out)
}

// maxLinksAnswer is about the most bytes of one answer of getLinks.
const maxLinksAnswer = 4 << 20

func (c *call) list(all [][]byte) error {
	body, err := doc.Encode(all)
	if err != nil {
		return err
	}
	return c.bytes(http.StatusOK, api.TypeCBOR, body)
}

func acceptKeys(pid id.ID) string { return "accepts/" + pid.String() }
func seenKeys(pid id.ID) string   { return "seen/" + pid.String() }

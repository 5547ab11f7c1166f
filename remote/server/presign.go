package server

import (
	"net/http"
	"time"

	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// presignLife is how long a presigned request is good: for one transfer.
const presignLife = 10 * time.Minute

// presignGet and presignPut hand out a request for one blob to who may read or
// write it here, so that its bytes need not come through this server.
func (s *Server) presignGet(c *call) error { return s.presign(c, false) }

func (s *Server) presignPut(c *call) error { return s.presign(c, true) }

func (s *Server) presign(c *call, put bool) error {
	i, err := c.blobID()
	if err != nil {
		return err
	}
	var q api.PresignRequest
	if err := c.json(&q); err != nil {
		return err
	}
	shelf, err := s.blobs.of(c.r.Context(), c.pid)
	if err != nil {
		return err
	}
	direct, ok := shelf.Blobs.(store.Presigner)
	if !ok {
		return &api.Error{Code: api.CodeNotFound, Cause: "the blobs of this server are reached through it", Cure: "use the routes of blobs"}
	}
	if put {
		shelf.touch(i) // as a Put does
	}
	r, err := direct.Presign(i, put, q.Size, presignLife)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, r)
}

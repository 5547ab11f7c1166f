package server

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	"cipherdeck/remote/journal"
)

// checkpoint and tiles are laid out as C2SP tlog-tiles wants them below
// /v1/journal, so that any monitor of such logs can read this one.
func (s *Server) checkpoint(c *call) error {
	cp, err := s.journal.Checkpoint(c.r.Context())
	if err != nil {
		return journalProblem(err)
	}
	return c.bytes(http.StatusOK, api.TypeText, cp.Raw)
}

func (s *Server) tile(c *call) error {
	name := c.r.PathValue("level") + "/" + c.r.PathValue("rest")
	if !regexp.MustCompile(`^(entries|[0-9]|[1-5][0-9])(/x[0-9]{3})*/[0-9]{3}(\.p/[0-9]{1,3})?$`).MatchString(name) {
		return invalid("path", "not the path of a tile")
	}
	root, err := os.OpenRoot(filepath.Join(s.cfg.DataDir, journalDir, "tree", "tile"))
	if err != nil {
		return err
	}
	defer root.Close()
	raw, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return journalProblem(journal.ErrNotFound)
	}
	if err != nil {
		return err
	}
	return c.bytes(http.StatusOK, api.TypeBytes, raw)
}

// cosignature takes a line of a witness that no address leads to. Whoever brings
// it: the line says only what anybody can check.
func (s *Server) cosignature(c *call) error {
	line, err := c.raw()
	if err != nil {
		return err
	}
	switch err := s.journal.Cosigned(c.r.Context(), line); {
	case errors.Is(err, journal.ErrStranger):
		return &api.Error{Code: api.CodeForbidden, Cause: err.Error(), Cure: "give its key to the operator: witnesses in the server's configuration, without a url"}
	case errors.Is(err, tlog.ErrCosignature):
		return &api.Error{Code: api.CodeConflict, Cause: err.Error(), Cure: "sign the newest checkpoint"}
	case err != nil:
		return journalProblem(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// size reads a parameter that is the size of a log, or a number of a leaf.
func (c *call) size(name, otherwise string) (uint64, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		text = otherwise
	}
	n, err := tlog.ParseSize(text)
	if err != nil {
		return 0, invalid(name, "%v", err)
	}
	return n, nil
}

func (s *Server) inclusion(c *call) error {
	hash, err := id.Parse(c.r.URL.Query().Get("leaf"))
	if err != nil {
		return invalid("leaf", "%v", err)
	}
	size, err := c.size("size", "0")
	if err != nil {
		return err
	}
	p, cp, err := s.journal.Inclusion(c.r.Context(), hash, size)
	if err != nil {
		return journalProblem(err)
	}
	return c.answer(http.StatusOK, api.InclusionReply{Index: p.Index, Path: p.Path, Checkpoint: cp.Raw})
}

func (s *Server) consistency(c *call) error {
	from, err := c.size("from", "")
	if err != nil {
		return err
	}
	size, err := c.size("size", "0")
	if err != nil {
		return err
	}
	path, cp, err := s.journal.Consistency(c.r.Context(), from, size)
	if err != nil {
		return journalProblem(err)
	}
	return c.answer(http.StatusOK, api.ConsistencyReply{Path: path, Checkpoint: cp.Raw})
}

func (s *Server) entries(c *call) error {
	from, err := c.size("from", "")
	if err != nil {
		return err
	}
	n, err := c.size("n", "")
	if err != nil {
		return err
	}
	leaves, cp, err := s.journal.Entries(c.r.Context(), from, int(min(n, journal.MaxEntries)))
	if err != nil {
		return journalProblem(err)
	}
	return c.answer(http.StatusOK, api.EntriesReply{Leaves: leaves, Checkpoint: cp.Raw})
}

func (s *Server) object(c *call) error {
	tag, err := id.Parse(c.r.PathValue("tag"))
	if err != nil {
		return invalid("tag", "%v", err)
	}
	size, err := c.size("size", "0")
	if err != nil {
		return err
	}
	all, cp, err := s.journal.Object(c.r.Context(), tag, size)
	if err != nil {
		return journalProblem(err)
	}
	out := api.ObjectReply{Checkpoint: cp.Raw, Proofs: []api.LeafProof{}}
	for _, p := range all {
		out.Proofs = append(out.Proofs, api.LeafProof{Index: p.Index, Leaf: p.Leaf, Path: p.Path})
	}
	return c.answer(http.StatusOK, out)
}

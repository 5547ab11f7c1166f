package app

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/vault/project"
)

// shelf is the least place that a project can live in.
type shelf struct {
	mu    sync.Mutex
	blobs map[id.ID][]byte
	head  []byte
	rev   uint64
}

func newShelf() *shelf { return &shelf{blobs: map[id.ID][]byte{}} }

// project starts a project of a's owner on s.
func (s *shelf) project(t *testing.T, a *App, name string) *project.Project {
	t.Helper()
	_, me, err := a.opened()
	if err != nil {
		t.Fatal(err)
	}
	p, err := project.Create(t.Context(), func(_ context.Context, genesis []byte) (project.Server, error) {
		s.head, s.rev = genesis, 1
		return s, nil
	}, me, name, a.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *shelf) Head(context.Context, string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head, s.rev, nil
}

func (s *shelf) CAS(_ context.Context, _ string, body []byte, prev uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if prev != s.rev {
		return 0, project.ErrConflict
	}
	s.head = body
	s.rev++
	return s.rev, nil
}

func (s *shelf) Have(_ context.Context, ids []id.ID) ([]bool, error) {
	return make([]bool, len(ids)), nil
}

func (s *shelf) PutBlob(_ context.Context, i id.ID, _ int64, r io.Reader) error {
	b, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[i] = b
	return err
}

func (s *shelf) GetBlob(_ context.Context, i id.ID, _, _ int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[i]
	if !ok {
		return nil, project.ErrDamaged
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

package app

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
	"cipherdeck/vault/project"
)

// stored is a project's blobs as a job needs them.
type stored struct{ project.Server }

// Get fetches blob i of at most max bytes and checks its name.
func (s stored) Get(ctx context.Context, i id.ID, max int64) ([]byte, error) {
	return project.ReadBlob(ctx, s.Server, i, max)
}

// Put stores b under its name.
func (s stored) Put(ctx context.Context, b []byte) (id.ID, error) {
	i := id.Of(b)
	return i, s.PutBlob(ctx, i, int64(len(b)), bytes.NewReader(b))
}

// memory is the blobs of a run on this machine.
type memory struct{ m *sync.Map }

// Get returns blob i.
func (m memory) Get(_ context.Context, i id.ID, max int64) ([]byte, error) {
	v, ok := m.m.Load(i)
	if !ok || int64(len(v.([]byte))) > max {
		return nil, fmt.Errorf("%w: blob %s", ErrName, i.Short())
	}
	return v.([]byte), nil
}

// Put keeps b.
func (m memory) Put(_ context.Context, b []byte) (id.ID, error) {
	i := id.Of(b)
	m.m.Store(i, bytes.Clone(b))
	return i, nil
}

// counted counts the bytes that pass.
type counted struct {
	job.Blobs
	up, down atomic.Int64
}

// Get counts down.
func (c *counted) Get(ctx context.Context, i id.ID, max int64) ([]byte, error) {
	b, err := c.Blobs.Get(ctx, i, max)
	c.down.Add(int64(len(b)))
	return b, err
}

// Put counts up.
func (c *counted) Put(ctx context.Context, b []byte) (id.ID, error) {
	c.up.Add(int64(len(b)))
	return c.Blobs.Put(ctx, b)
}

package jetstream

import (
	"fmt"
	"sync"

	"cipherdeck/remote/store"
	"cipherdeck/remote/store/space"
)

// gate stands before every write. It is shut while the disk is nearly full,
// or while a server of the cluster is known not to flush.
type gate struct {
	dir string // "": no disk of ours

	mu   sync.Mutex
	shut error
}

func newGate(dir string) *gate { return &gate{dir: dir} }

// open is nil when a write may go on.
func (g *gate) open() error {
	g.mu.Lock()
	why := g.shut
	g.mu.Unlock()
	if why == nil && g.dir != "" {
		why = space.Check(g.dir)
	}
	if why != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, why)
	}
	return nil
}

// set shuts the gate for a reason, or opens it with nil.
func (g *gate) set(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = why
}

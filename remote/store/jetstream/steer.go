package jetstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"cipherdeck/remote/store"
)

// steer leaves a server of a cluster that answers but can do nothing: cut off
// from the others it keeps its connections and lets every write time out.
type steer struct {
	conn *nats.Conn // nil: there is no other server

	mu    sync.Mutex
	since time.Time // of the first failure without a success since
}

// steerAfter is how long everything must have failed; then the client goes to
// the next server, and has as long again there.
const steerAfter = 2 * time.Second

// note takes the outcome of a write.
func (s *steer) note(err error) {
	if s.conn == nil || errors.Is(err, context.Canceled) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnavailable):
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = time.Now()
	case time.Since(s.since) > steerAfter:
		s.since = time.Time{}
		_ = s.conn.ForceReconnect() // it fails when the connection is closed, and then nothing is to be done
	}
}

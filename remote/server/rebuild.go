package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"cipherdeck/attest/channel"
)

// ErrNotEmpty is wrapped by Rebuild when the store has documents already.
var ErrNotEmpty = errors.New("the store is not empty")

// Rebuild replays the journal of a data directory into an empty store: every
// account, project, job and check value whose body the journal has. Blobs lie
// elsewhere and are not touched, except links, which are in the journal too.
func Rebuild(ctx context.Context, cfg Config, log *slog.Logger) (Report, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, log: log, now: time.Now}
	s.stopping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	rep, err := s.rebuild(ctx)
	return rep, errors.Join(err, s.Close())
}

func (s *Server) rebuild(ctx context.Context) (Report, error) {
	dir := s.cfg.DataDir
	if _, err := os.Stat(filepath.Join(dir, journalDir)); err != nil {
		return Report{}, fmt.Errorf("%s has no journal: %w", dir, err)
	}
	if err := s.openStore(ctx, dir); err != nil {
		return Report{}, err
	}
	for d, err := range s.engine.Docs().List(ctx, "") {
		if err != nil {
			return Report{}, err
		}
		return Report{}, fmt.Errorf("%w: it has %s; move %s away first", ErrNotEmpty, d.Key, filepath.Join(dir, storeDir))
	}
	key, err := loadTLSKey(dir)
	if err != nil {
		return Report{}, err
	}
	cert, err := channel.NewCertificate(key)
	if err != nil {
		return Report{}, err
	}
	s.pin = channel.SPKI(cert.Leaf)
	if err := s.openJournal(ctx, Options{DataDir: dir}); err != nil {
		return Report{}, err
	}
	return s.Reconcile(ctx, false)
}

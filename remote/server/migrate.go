package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"cipherdeck/remote/store"
)

// Migrated says what a migration did, or with a dry run would do.
type Migrated struct {
	From  int      `json:"from"`
	To    int      `json:"to"`
	Steps []string `json:"steps"`
	Checked
}

// migration leads from one format to the next. It may be cut short at any point
// and run again: the directory gets its new number last.
type migration struct {
	text string
	run  func(context.Context, *Server) error
}

// migrations are indexed by the format that they start from.
func migrations() []migration {
	return []migration{
		{"0 to 1: the directory and the store are marked with their format and the server's key; logins end, since they do not say by which device", unmarked},
	}
}

// Migrate brings a data directory to the present format. keep is where a bundle of
// it as it was is written before anything is changed; with nil nothing is changed
// and everything is verified. No server may run on it.
func Migrate(ctx context.Context, cfg Config, keep func(write func(io.Writer) error) error) (Migrated, error) {
	have, fresh, err := FormatOf(cfg.DataDir)
	out := Migrated{From: have, To: Format, Steps: []string{}}
	if err != nil || fresh {
		return out, err
	}
	if have > Format {
		return out, fmt.Errorf("%s: %w: format %d, this program knows %d", cfg.DataDir, ErrNewerData, have, Format)
	}
	for _, m := range migrations()[have:] {
		out.Steps = append(out.Steps, m.text)
	}
	err = offline(ctx, cfg, func(s *Server) (err error) {
		if out.Checked, err = s.Check(ctx); err != nil || keep == nil || have == Format {
			return err
		}
		if err := keep(func(w io.Writer) error { _, err := s.Backup(ctx, w); return err }); err != nil {
			return err
		}
		for n, m := range migrations()[have:] {
			if err := m.run(ctx, s); err != nil {
				return fmt.Errorf("migrate %s: %w", m.text, err)
			}
			if err := writeFormat(cfg.DataDir, have+n+1); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// unmarked is the step from 0 to 1.
func unmarked(ctx context.Context, s *Server) error {
	docs := s.engine.Docs()
	for d, err := range docs.List(ctx, "") {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(d.Key, "tokens/") {
			continue
		}
		if err := docs.Delete(ctx, d.Key, d.Rev); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return checkStore(ctx, docs, s.pin)
}

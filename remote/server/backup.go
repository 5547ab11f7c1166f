package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cipherdeck/attest/channel"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/backup"
	"cipherdeck/remote/store"
)

// ErrNoBlobs says that a project has no blob at all where the configuration keeps
// them: they are elsewhere, and a bundle without them would be none.
var ErrNoBlobs = errors.New("none of its blobs is where the configuration keeps them")

// Backup writes a bundle of everything this server keeps, while it runs. What
// changes meanwhile is in it or not; what it says is consistent: documents first,
// in one pass, then the blobs, which are there before a document names them.
//
// Left out: logins, which are good on their connections only, and the queue, which
// a start makes anew from the jobs.
func (s *Server) Backup(ctx context.Context, w io.Writer) (backup.Report, error) {
	b, err := backup.NewWriter(w, backup.Header{Format: s.format, Made: s.now().Unix(), Pin: hex.EncodeToString(s.pin[:])})
	if err != nil {
		return backup.Report{}, err
	}
	pids, err := s.backupDocs(ctx, b)
	if err != nil {
		return backup.Report{}, err
	}
	if err := backupFiles(b, s.cfg.DataDir); err != nil {
		return backup.Report{}, err
	}
	for _, pid := range pids {
		if err := s.backupBlobs(ctx, b, pid); err != nil {
			return backup.Report{}, fmt.Errorf("project %s: %w", pid, err)
		}
	}
	return b.Close()
}

// backupDocs writes the documents and gives the projects among them.
func (s *Server) backupDocs(ctx context.Context, b *backup.Writer) (pids []id.ID, err error) {
	for d, err := range s.engine.Docs().List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(d.Key, "tokens/") {
			continue
		}
		if text, ok := strings.CutPrefix(d.Key, "heads/"); ok {
			pid, err := id.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("document %s: %w", d.Key, store.ErrCorrupt)
			}
			pids = append(pids, pid)
		}
		if err := b.Doc(d.Key, d.Body); err != nil {
			return nil, err
		}
	}
	return pids, nil
}

func (s *Server) backupBlobs(ctx context.Context, b *backup.Writer, pid id.ID) error {
	room, err := s.blobs.of(ctx, pid)
	if err != nil {
		return err
	}
	n := 0
	for i, err := range room.List(ctx) {
		if err != nil {
			return err
		}
		n++
		name := backup.Blob{Project: pid, ID: i.ID}
		body, err := s.blobs.read(ctx, pid, i.ID, s.cfg.MaxBlobBytes)
		switch {
		case errors.Is(err, store.ErrNotFound): // collected meanwhile
		case errors.Is(err, store.ErrCorrupt):
			s.log.Error("blob is damaged and left out of the backup", "err", err)
			b.Damaged(name)
		case err != nil:
			return err
		default:
			if err := b.Blob(name, body); err != nil {
				return err
			}
		}
	}
	if n == 0 { // its genesis is one
		return ErrNoBlobs
	}
	return nil
}

// backupFiles writes the private files of a data directory. What a journal appends
// to while it is copied is longer than what was copied before it, never shorter:
// checkpoints and tree before the leaves they are made from, bodies last.
func backupFiles(b *backup.Writer, dir string) error {
	var names []string
	for _, name := range []string{FormatFile, TLSKeyFile, softTPMFile, sshKeyFile, ManifestFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			names = append(names, name)
		}
	}
	var log []string
	err := fs.WalkDir(os.DirFS(dir), journalDir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasSuffix(name, "lock") {
			log = append(log, name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(log, func(x, y string) int { return journalRank(x) - journalRank(y) })
	for _, name := range append(names, log...) {
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(name, journalDir+"/") {
			continue // a temporary file, or a partial tile that grew
		}
		if err != nil {
			return err
		}
		if err := b.File(name, body); err != nil {
			return err
		}
	}
	return nil
}

func journalRank(name string) int {
	switch {
	case strings.HasSuffix(name, "checkpoint"):
		return 0
	case strings.HasPrefix(name, journalDir+"/tree/"):
		return 1
	case strings.HasPrefix(name, journalDir+"/bodies/"):
		return 3
	}
	return 2
}

// Offline opens the store of a data directory without serving it, for as long as f
// runs. The store's lock keeps a server from starting meanwhile; one that runs
// already is store.ErrUnavailable.
func Offline(ctx context.Context, cfg Config, f func(*Server) error) error {
	if err := checkFormat(cfg.DataDir); err != nil {
		return err
	}
	return offline(ctx, cfg, func(s *Server) error {
		if err := checkStore(ctx, s.engine.Docs(), s.pin); err != nil {
			return err
		}
		return f(s)
	})
}

// offline is Offline for a directory of any format.
func offline(ctx context.Context, cfg Config, f func(*Server) error) (err error) {
	s := &Server{cfg: cfg, log: discard(), now: time.Now, served: make(chan error, 1)}
	s.stopping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := os.Stat(filepath.Join(cfg.DataDir, TLSKeyFile)); err != nil {
		return err // an empty or wrong folder must not become a data directory
	}
	if s.pin, err = pinOf(cfg.DataDir); err != nil {
		return err
	}
	if s.format, _, err = FormatOf(cfg.DataDir); err != nil {
		return err
	}
	if err := s.openStore(ctx, cfg.DataDir); err != nil {
		return err
	}
	return f(s)
}

// pinOf is the pin of the TLS key in a data directory, which must be there.
func pinOf(dir string) (pin [32]byte, err error) {
	key, err := loadTLSKey(dir)
	if err != nil {
		return pin, err
	}
	cert, err := channel.NewCertificate(key)
	if err != nil {
		return pin, err
	}
	return channel.SPKI(cert.Leaf), nil
}

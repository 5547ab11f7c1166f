package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/remote/backup"
	"cipherdeck/remote/server"
)

// BackupSpec says where a server's backup goes, or comes from, and who opens it.
type BackupSpec struct {
	File       string
	For        Audience // besides the owner of the vault, if it is open
	Passphrase []byte   // instead of people
	KeyFile    string   // to open: RSA private key in PEM
	Plain      bool     // not sealed: it holds the server's TLS key
	Force      bool
}

// Backup writes a bundle of what the server on cfg keeps: of the running one, by
// its control socket, or of the data directory when none runs. What is written is
// read on the way: a bundle that is not whole gets no name.
func (a *App) Backup(ctx context.Context, cfg server.Config, spec BackupSpec, sink progress.Sink) (backup.Report, error) {
	var to []seal.Recipient
	if !spec.Plain {
		var err error
		if to, err = a.keepers(ctx, spec); err != nil {
			return backup.Report{}, err
		}
	}
	src, err := bundleOf(ctx, cfg)
	if err != nil {
		return backup.Report{}, err
	}
	watched := watch(src)
	err = seal.WriteFile(spec.File, spec.Force, func(w io.Writer) error {
		if spec.Plain {
			_, err := io.Copy(w, watched)
			return err
		}
		return seal.Seal(ctx, w, watched, seal.Meta{Size: seal.SizeUnknown}, to, sink)
	})
	rep, bad := watched.report()
	if err := errors.Join(err, src.Close()); err != nil {
		return rep, err
	}
	if bad != nil {
		return rep, bad
	}
	if n := len(rep.Damaged); n > 0 {
		return rep, fmt.Errorf("%w: %d blob(s) in the store are damaged and not in %s, which is whole otherwise: %s", ErrSick, n, spec.File, rep.Damaged[0])
	}
	return rep, nil
}

// keepers are who can open a backup. Keys in files need no vault.
func (a *App) keepers(ctx context.Context, spec BackupSpec) ([]seal.Recipient, error) {
	if spec.Passphrase != nil || len(spec.For.KeyFiles) == 0 || len(spec.For.People) > 0 {
		return a.recipients(ctx, SealSpec{For: spec.For, Passphrase: spec.Passphrase})
	}
	return a.audience(ctx, spec.For)
}

// bundleOf is the bundle of a running server, or of a stopped one.
func bundleOf(ctx context.Context, cfg server.Config) (io.ReadCloser, error) {
	r, err := server.BackupRunning(ctx, cfg.DataDir)
	if !errors.Is(err, server.ErrNotRunning) {
		return r, err
	}
	if err := server.Offline(ctx, cfg, func(*server.Server) error { return nil }); err != nil {
		return nil, err // before an output is begun
	}
	pr, pw := io.Pipe()
	go func() {
		pw.CloseWithError(server.Offline(ctx, cfg, func(s *server.Server) error {
			_, err := s.Backup(ctx, pw)
			return err
		}))
	}()
	return pr, nil
}

// watched reads a bundle while it passes, and knows at its end whether it was
// whole.
type watched struct {
	io.Reader
	pw   *io.PipeWriter
	rep  backup.Report
	err  error
	done chan struct{}
}

func watch(src io.Reader) *watched {
	pr, pw := io.Pipe()
	w := &watched{Reader: io.TeeReader(src, pw), pw: pw, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.rep, w.err = backup.Read(pr, unkept{})
		_, _ = io.Copy(io.Discard, pr) // never hold the copy up
	}()
	return w
}

// Read passes the source on. At its end it waits for what was made of it.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) { // the server stopped, or failed
		return n, fmt.Errorf("%w: the server's log says why", backup.ErrTruncated)
	}
	if err == io.EOF {
		if _, bad := w.report(); bad != nil {
			return n, bad
		}
	}
	return n, err
}

func (w *watched) report() (backup.Report, error) {
	_ = w.pw.Close()
	<-w.done
	return w.rep, w.err
}

// unkept takes a bundle and keeps nothing.
type unkept struct{}

// Header takes the header.
func (unkept) Header(backup.Header) error { return nil }

// Doc takes a document.
func (unkept) Doc(string, []byte) error { return nil }

// File takes a file.
func (unkept) File(string, []byte) error { return nil }

// Blob takes a blob.
func (unkept) Blob(backup.Blob, []byte) error { return nil }

// VerifyBackup restores a backup aside, starts a server on it and logs in there.
func (a *App) VerifyBackup(ctx context.Context, spec BackupSpec, pin *[32]byte) (out server.Restored, err error) {
	err = a.readBackup(ctx, spec, func(r io.Reader) error {
		out, err = server.VerifyBackup(ctx, r, pin)
		return err
	})
	return out, err
}

// RestoreBackup makes the data directory dir of a backup, or changes nothing.
func (a *App) RestoreBackup(ctx context.Context, spec BackupSpec, dir string, pin *[32]byte) (out server.Restored, err error) {
	err = a.readBackup(ctx, spec, func(r io.Reader) error {
		out, err = server.Restore(ctx, r, dir, pin)
		return err
	})
	return out, err
}

func (a *App) readBackup(ctx context.Context, spec BackupSpec, f func(io.Reader) error) error {
	in, _, err := seal.OpenRegular(spec.File)
	if err != nil {
		return err
	}
	defer in.Close()
	if spec.Plain {
		return f(in)
	}
	who, err := a.openers(ctx, Opener{spec.Passphrase, spec.KeyFile})
	if err != nil {
		return err
	}
	r, err := seal.Open(in, who...)
	if err != nil {
		return err
	}
	return f(r)
}

// Migrate brings a data directory to the format of this program. The bundle of it
// as it was is kept first, in a new file beside it, as private as the directory.
func Migrate(ctx context.Context, cfg server.Config, dryRun bool) (m server.Migrated, kept string, err error) {
	if dryRun {
		m, err = server.Migrate(ctx, cfg, nil)
		return m, "", err
	}
	m, err = server.Migrate(ctx, cfg, func(write func(io.Writer) error) error {
		kept = fmt.Sprintf("%s.before-format-%d.tar", cfg.DataDir, server.Format)
		f, err := os.OpenFile(kept, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%w: %s is there, of an earlier try: move it away", ErrTaken, kept)
		}
		if err != nil {
			return err
		}
		err = write(f)
		if err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(kept))
		}
		return err
	})
	return m, kept, err
}

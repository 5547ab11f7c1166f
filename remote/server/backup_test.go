package server_test

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/backup"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
	"cipherdeck/remote/store"
)

// stocked is a server with a project, a member who was removed, and a job.
func stocked(t *testing.T) (*setup, id.ID) {
	t.Helper()
	s := start(t)
	s.p.Put(t, []byte("wraps"))
	s.p.Put(t, []byte("w2"))
	w := rt.Person(t, "gone")
	s.p.Add(t, w, chain.Writer)
	s.p.Do(t, chain.KindRemove, chain.RemoveBody{UID: w.UID, Epoch: chain.Epoch{Number: 2, Prev: []byte("sealed"), Wraps: id.Of([]byte("w2"))}})
	s.p.Do(t, chain.KindPut, chain.PutBody{Index: s.p.Put(t, []byte("index"))})
	name, _ := s.submit(t)
	return s, name
}

func running(t *testing.T, s *setup) []byte {
	t.Helper()
	r, err := server.BackupRunning(t.Context(), s.cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestBackupRestores takes a bundle of a running server, loses the machine, and
// goes on with another one: the same pin, heads, jobs and blobs.
func TestBackupRestores(t *testing.T) {
	s, job := stocked(t)
	raw := running(t, s)
	if rep, err := server.VerifyBackup(t.Context(), bytes.NewReader(raw), nil); err != nil || rep.Projects != 1 || rep.Jobs != 1 || rep.Links == 0 {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	pin, head := s.srv.Pin(), s.p.State.Head
	s.cfg.Listen = s.srv.Addr()
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Restore(t.Context(), bytes.NewReader(raw), s.cfg.DataDir, &pin); err != nil {
		t.Fatal(err)
	}
	s.srv = rt.Start(t, server.Options{Config: s.cfg})
	if s.srv.Pin() != pin {
		t.Error("the restored server has another key")
	}
	link, _, err := s.p.Head(t.Context(), api.HeadKey)
	if err != nil || id.Of(link) != head {
		t.Errorf("head: %v", err)
	}
	if st := status(t, s.p, job, 0, 0); st.State != api.JobQueued {
		t.Errorf("job: %+v", st)
	}
	if l := s.lease(t); l.Job != job { // the queue was made anew
		t.Errorf("leased %s", l.Job)
	}
}

// TestOfflineBackup takes one of a server that is stopped.
func TestOfflineBackup(t *testing.T) {
	s, _ := stocked(t)
	var raw bytes.Buffer
	write := func(o *server.Server) error { _, err := o.Backup(t.Context(), &raw); return err }
	if err := server.Offline(t.Context(), s.cfg, write); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("while it runs: %v", err)
	}
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.BackupRunning(t.Context(), s.cfg.DataDir); !errors.Is(err, server.ErrNotRunning) {
		t.Errorf("a stopped server: %v", err)
	}
	if err := server.Offline(t.Context(), s.cfg, write); err != nil {
		t.Fatal(err)
	}
	if _, err := server.VerifyBackup(t.Context(), &raw, nil); err != nil {
		t.Error(err)
	}
	empty := s.cfg
	empty.DataDir = t.TempDir()
	if err := server.Offline(t.Context(), empty, write); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}

// edited is a bundle with its entries changed, and an end that fits if it had one.
func edited(t *testing.T, raw []byte, edit func(name string, body []byte) ([]byte, bool)) []byte {
	t.Helper()
	var out bytes.Buffer
	in, w := tar.NewReader(bytes.NewReader(raw)), tar.NewWriter(&out)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(in)
		body, keep := edit(h.Name, body)
		if !keep {
			continue
		}
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestRestoreRefuses gives it bundles that are not what is meant. Whatever is
// wrong, the folder is as it was.
func TestRestoreRefuses(t *testing.T) {
	s, _ := stocked(t)
	raw := running(t, s)
	other := start(t)
	without := func(part string) []byte {
		return edited(t, raw, func(name string, b []byte) ([]byte, bool) { return b, !strings.Contains(name, part) })
	}
	with := func(part, old, new string) []byte {
		n := 0
		out := edited(t, raw, func(name string, b []byte) ([]byte, bool) {
			if strings.Contains(name, part) {
				n += bytes.Count(b, []byte(old))
				b = bytes.ReplaceAll(b, []byte(old), []byte(new))
			}
			return b, true
		})
		if n == 0 {
			t.Fatalf("%s has no %q", part, old)
		}
		return out
	}
	index := id.Of([]byte("index")).String()
	theirs, err := os.ReadFile(filepath.Join(other.cfg.DataDir, server.TLSKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	pin := other.srv.Pin()
	for name, c := range map[string]struct {
		raw  []byte
		pin  *[32]byte
		want error
	}{
		"of another server":      {raw, &pin, server.ErrOtherData},
		"cut in the middle":      {raw[:len(raw)/2], nil, backup.ErrTruncated},
		"cut before its end":     {without("end.json"), nil, backup.ErrTruncated},
		"empty":                  {nil, nil, backup.ErrTruncated},
		"something else":         {bytes.Repeat([]byte("x"), 4096), nil, backup.ErrBundle},
		"newer bundle":           {with("cipherdeck-backup", `"v":1`, `"v":9`), nil, backup.ErrNewer},
		"newer format":           {with("cipherdeck-backup", `"format":1`, `"format":9`), nil, server.ErrNewerData},
		"a blob that is missing": {without(index), nil, backup.ErrBundle},
		"a document missing":     {without("docs/heads"), nil, backup.ErrBundle},
		"a changed blob":         {with(index, "index", "xndex"), nil, store.ErrMismatch},
		"a changed document":     {with("FORMAT", "data 1", "data  1"), nil, backup.ErrBundle},
		"another TLS key": {edited(t, raw, func(name string, b []byte) ([]byte, bool) {
			if strings.HasSuffix(name, server.TLSKeyFile) {
				b = theirs
			}
			return b, true
		}), nil, backup.ErrBundle},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if _, err := server.Restore(t.Context(), bytes.NewReader(c.raw), dir, c.pin); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Restore(t.Context(), bytes.NewReader(raw), full, nil); !errors.Is(err, server.ErrInTheWay) {
		t.Errorf("a folder with something in it: %v", err)
	}
}

// TestMissingLink makes a bundle whose sums are right and whose chain has a hole.
func TestMissingLink(t *testing.T) {
	s, _ := stocked(t)
	h := hexOf(s.p.ID())
	gone := filepath.Join(s.cfg.DataDir, "blobs", h, h[:2], h[2:4], h) // the genesis
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	_, err := server.Restore(t.Context(), bytes.NewReader(running(t, s)), filepath.Join(t.TempDir(), "data"), nil)
	if !errors.Is(err, server.ErrMissing) {
		t.Errorf("restore: %v", err)
	}
}

// TestDamagedBlob leaves it out and says so.
func TestDamagedBlob(t *testing.T) {
	s, _ := stocked(t)
	i := s.p.Put(t, []byte("a piece that nobody here can name"))
	h := hexOf(i)
	path := filepath.Join(s.cfg.DataDir, "blobs", hexOf(s.p.ID()), h[:2], h[2:4], h)
	if err := os.WriteFile(path, []byte("a piece that nobody here can nam3"), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := server.VerifyBackup(t.Context(), bytes.NewReader(running(t, s)), nil)
	if err != nil || len(rep.Damaged) != 1 || !strings.HasSuffix(rep.Damaged[0], i.String()) {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestFormats starts a server on directories of other formats and of two servers.
func TestFormats(t *testing.T) {
	s, _ := stocked(t)
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	begin := func(what string, want error) {
		t.Helper()
		srv, err := server.Start(t.Context(), server.Options{Config: s.cfg})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if err == nil {
			_ = srv.Close()
		}
	}
	path := filepath.Join(s.cfg.DataDir, server.FormatFile)
	for text, want := range map[string]error{"cipherdeck-data 2\n": server.ErrNewerData, "cipherdeck-data 0": server.ErrOtherData, "hello": server.ErrOtherData} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		begin(text, want)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	begin("no format", server.ErrOlderData)
	if m, err := server.Migrate(t.Context(), s.cfg, nil); err != nil || m.From != 0 || len(m.Steps) != 1 {
		t.Errorf("dry run: %+v, %v", m, err)
	}
	begin("after a dry run", server.ErrOlderData)
	kept := false
	keep := func(write func(io.Writer) error) error { kept = true; return write(io.Discard) }
	if _, err := server.Migrate(t.Context(), s.cfg, keep); err != nil || !kept {
		t.Errorf("migrate: kept %v, %v", kept, err)
	}
	begin("migrated", nil)
	kept = false
	if m, err := server.Migrate(t.Context(), s.cfg, keep); err != nil || kept || len(m.Steps) != 0 {
		t.Errorf("again: %+v, %v", m, err)
	}
	other := start(t)
	theirs, err := os.ReadFile(filepath.Join(other.cfg.DataDir, server.TLSKeyFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(s.cfg.DataDir, server.TLSKeyFile), theirs, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	begin("with the key of another server", server.ErrOtherData)
}

func hexOf(i id.ID) string { return hex.EncodeToString(i[:]) }

package server_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
	"cipherdeck/remote/store/ipfs/ipfstest"
	"cipherdeck/remote/store/rooms"
	"cipherdeck/remote/store/s3/s3test"
	"cipherdeck/remote/store/sftp/sftptest"
)

// elsewhere makes the parts of a configuration that keep blobs, or a second copy
// of them, outside the data directory, in real servers.
var elsewhere = map[string]func(*testing.T, *server.Config){
	"SFTP": func(t *testing.T, c *server.Config) {
		s := sftptest.New(t)
		c.Blobs = rooms.Place{Kind: rooms.SFTP, Addr: s.Addr, User: sftptest.User, Dir: s.Dir, KeyFile: s.KeyFile, HostKey: s.HostKey}
	},
	"Mirror": func(t *testing.T, c *server.Config) {
		c.Mirror = &rooms.Place{Kind: rooms.File, Dir: t.TempDir()}
	},
	"InBucket": func(t *testing.T, c *server.Config) {
		g, dir := s3test.New(t), t.TempDir()
		for name, text := range map[string]string{"access": s3test.Access, "secret": s3test.Secret} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.Blobs = rooms.Place{Kind: rooms.S3, Endpoint: g.Endpoint, Bucket: s3test.Bucket, AccessKeyFile: filepath.Join(dir, "access"), SecretKeyFile: filepath.Join(dir, "secret")}
	},
	"IPFS": func(t *testing.T, c *server.Config) {
		c.Blobs = rooms.Place{Kind: rooms.IPFS, Endpoint: ipfstest.New(t).Endpoint}
	},
}

// written is cfg as an operator has it, in a file, and read from there.
func written(t *testing.T, cfg server.Config) server.Config {
	t.Helper()
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "serve.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err = server.LoadConfig(path); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestPlaces starts a server whose configuration keeps blobs elsewhere: they are
// put and got, by a second start too; a backup has them, of the running server
// and of the stopped one, and is restored into files.
func TestPlaces(t *testing.T) {
	for name, place := range elsewhere {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(c *server.Config) {
				place(t, c)
				*c = written(t, *c)
			})
			body := make([]byte, 300_000)
			_, _ = rand.Read(body)
			i := s.p.Put(t, body)
			s.p.Put(t, []byte("wraps")) // which the genesis names
			s.restart(t)
			s.client = rt.Enrolled(t, s.srv, s.owner)
			wantBody(t, s.client.Project(s.p.ID()), i, body)

			hot := running(t, s)
			if err := s.srv.Close(); err != nil {
				t.Fatal(err)
			}
			var cold bytes.Buffer
			if err := server.Offline(t.Context(), s.cfg, func(srv *server.Server) error { _, err := srv.Backup(t.Context(), &cold); return err }); err != nil {
				t.Fatal(err)
			}
			pin := s.srv.Pin()
			for when, raw := range map[string][]byte{"running": hot, "stopped": cold.Bytes()} {
				dir := filepath.Join(t.TempDir(), "restored")
				if _, err := server.Restore(t.Context(), bytes.NewReader(raw), dir, &pin); err != nil {
					t.Fatalf("%s: %v", when, err)
				}
				pid, hx := s.p.ID(), hex.EncodeToString(i[:])
				got, err := os.ReadFile(filepath.Join(dir, "blobs", hex.EncodeToString(pid[:]), hx[:2], hx[2:4], hx))
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%s: %d bytes, %v", when, len(got), err)
				}
			}
		})
	}
}

// TestBackupWithoutItsPlace makes a backup of a stopped server by a
// configuration that does not say where its blobs are.
func TestBackupWithoutItsPlace(t *testing.T) {
	far := t.TempDir()
	s := start(t, func(c *server.Config) { c.Blobs = rooms.Place{Kind: rooms.File, Dir: far} })
	if err := s.srv.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := s.cfg
	cfg.Blobs = server.DefaultConfig().Blobs
	err := server.Offline(t.Context(), cfg, func(srv *server.Server) error { _, err := srv.Backup(t.Context(), io.Discard); return err })
	if !errors.Is(err, server.ErrNoBlobs) {
		t.Errorf("got %v", err)
	}
}

func wantBody(t *testing.T, p *api.Project, i id.ID, want []byte) {
	t.Helper()
	r, err := p.GetBlob(t.Context(), i, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

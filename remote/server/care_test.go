package server_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// TestExpired moves the clocks past the life of a token. They stand still but
// for that, so that nothing here depends on how long anything takes.
func TestExpired(t *testing.T) {
	var ahead atomic.Int64
	noon := time.Unix(time.Now().Unix(), 0)
	now := func() time.Time { return noon.Add(time.Duration(ahead.Load())) }
	cfg := rt.Config(t.TempDir())
	srv := rt.Start(t, server.Options{Config: cfg, Now: now})
	owner := rt.Person(t, "owner")
	c := rt.Enrolled(t, srv, owner, func(c *api.Config) { c.Now = now })
	frozen := rt.Client(t, srv, owner, func(c *api.Config) { c.Now = func() time.Time { return noon } })
	hand := connect(t, srv, owner)
	for _, k := range []*api.Client{c, frozen} {
		if _, err := k.Projects(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ahead.Store(int64(time.Duration(cfg.TokenTTLSeconds) * time.Second))
	if got := cell(t, hand, "GET", "/v1/projects"); got != "u" {
		t.Errorf("expired token: %s", got)
	}
	if _, err := c.Projects(t.Context()); err != nil {
		t.Errorf("the client did not log in anew: %v", err)
	}
	_, err := frozen.Projects(t.Context())
	wantErr(t, "clock 15 minutes behind", err, api.ErrUnauthorized)
}

// TestDamaged flips a bit on the server's disk.
func TestDamaged(t *testing.T) {
	s := start(t)
	body := bytes.Repeat([]byte("ciphertext"), 30_000)
	i := s.p.Put(t, body)
	pid := s.p.ID()
	hx := hex.EncodeToString(i[:])
	path := filepath.Join(s.cfg.DataDir, "blobs", hex.EncodeToString(pid[:]), hx[:2], hx[2:4], hx)
	bad := bytes.Clone(body)
	bad[1000] ^= 1
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := s.p.GetBlob(t.Context(), i, 0, -1)
	if err == nil {
		var got []byte
		got, err = io.ReadAll(r)
		if len(got) >= len(body) {
			t.Error("all of a damaged blob came")
		}
		_ = r.Close()
	}
	if err == nil {
		t.Error("a damaged blob was read without an error")
	}
	s.p.Put(t, body)
	if got := read(t, s.p.Project, i); !bytes.Equal(got, body) {
		t.Error("uploading it again did not heal the blob")
	}
}

func TestParts(t *testing.T) {
	s := start(t)
	i := s.p.Put(t, []byte("0123456789"))
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, -1, "0123456789"}, {0, 3, "012"}, {3, 4, "3456"}, {8, 100, "89"}, {4, -1, "456789"}, {10, -1, ""}, {0, 0, ""}} {
		r, err := s.p.GetBlob(t.Context(), i, c.off, c.n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != c.want {
			t.Errorf("%d bytes from %d: %q, %v; want %q", c.n, c.off, got, err, c.want)
		}
		_ = r.Close()
	}
	_, err := s.p.GetBlob(t.Context(), i, 11, 1)
	wantErr(t, "beyond the end", err, api.ErrInvalid)
	_, err = s.p.GetBlob(t.Context(), id.Of([]byte("nowhere")), 0, -1)
	wantErr(t, "nowhere", err, api.ErrNotFound)
	wantErr(t, "other bytes than named", s.p.PutBlob(t.Context(), i, 3, bytes.NewReader([]byte("abc"))), api.ErrInvalid)
}

// safe is a buffer that several goroutines may write.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// TestLog shows that the most talkative log has no payload and no token in it.
func TestLog(t *testing.T) {
	var log safe
	cfg := rt.Config(t.TempDir())
	srv := rt.Start(t, server.Options{Config: cfg, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	owner := rt.Person(t, "owner")
	p := rt.NewProject(t, rt.Enrolled(t, srv, owner), owner)
	const marker = "PAYLOAD-MARKER"
	p.Put(t, []byte(marker))
	_ = p.PutBlob(t.Context(), id.Of(nil), int64(len(marker)), bytes.NewReader([]byte(marker)))
	_, _ = p.SubmitJob(t.Context(), []byte(marker))
	hand := connect(t, srv, owner)
	hand.do(t, "POST", "/v1/auth/login", []byte(marker))
	hand.do(t, "GET", "/v1/accounts/"+marker, nil)
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if !bytes.Contains(log.b.Bytes(), []byte("/v1/auth/login")) {
		t.Error("the log does not name the routes")
	}
	for _, secret := range []string{marker, hand.token} {
		if bytes.Contains(log.b.Bytes(), []byte(secret)) {
			t.Errorf("the log has %q in it", secret)
		}
	}
}

// TestConnections opens one connection more than there is room for; it is
// served when another one ends.
func TestConnections(t *testing.T) {
	cfg := rt.Config(t.TempDir())
	cfg.MaxConnections = 2
	srv := rt.Start(t, server.Options{Config: cfg})
	first, second := open(t, srv), open(t, srv)
	served := make(chan string, 1)
	go func() { served <- cell(t, open(t, srv), "GET", "/v1/meta") }()
	for _, c := range []*raw{first, second} {
		if got := cell(t, c, "GET", "/v1/meta"); got != "." {
			t.Errorf("within the limit: %s", got)
		}
	}
	select {
	case <-served:
		t.Error("a third connection was served beside two")
	default:
	}
	_ = first.conn.Close()
	if got := <-served; got != "." {
		t.Errorf("after one ended: %s", got)
	}
}

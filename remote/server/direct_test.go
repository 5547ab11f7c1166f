package server_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
	"cipherdeck/remote/store/rooms"
	"cipherdeck/remote/store/s3/s3test"
)

// journal is what a server logs, for a test to look at.
type journal struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write keeps b.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.Write(b)
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.all.String(), text)
}

// inBucket is a server whose blobs are in a bucket that clients may come to.
func inBucket(t *testing.T, direct bool) (*setup, *s3test.Gateway, *journal) {
	t.Helper()
	g := s3test.New(t)
	keys := t.TempDir()
	for name, body := range map[string]string{"access": s3test.Access, "secret": s3test.Secret + "\n"} {
		if err := os.WriteFile(filepath.Join(keys, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, j := &setup{cfg: rt.Config(t.TempDir()), owner: rt.Person(t, "owner"), node: rt.Node(t, "node")}, &journal{}
	s.cfg.Blobs = rooms.Place{Kind: rooms.S3, Endpoint: g.Endpoint, Bucket: s3test.Bucket, Prefix: "p", Direct: direct,
		AccessKeyFile: filepath.Join(keys, "access"), SecretKeyFile: filepath.Join(keys, "secret")}
	log := slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.srv = rt.Start(t, server.Options{Config: s.cfg, Log: log})
	s.client, s.worker = rt.Enrolled(t, s.srv, s.owner), rt.Enrolled(t, s.srv, s.node)
	s.p = rt.NewProject(t, s.client, s.owner)
	s.p.GrantTo(t, s.node)
	return s, g, j
}

// TestDirect shows that ciphertext goes past the server when it offers that,
// that a damaged object is noticed, and that the server is asked when the way
// past it is closed.
func TestDirect(t *testing.T) {
	for _, direct := range []bool{false, true} {
		s, g, log := inBucket(t, direct)
		body := make([]byte, 300_000)
		_, _ = rand.Read(body)
		i := s.p.Put(t, body)
		read := func() error {
			r, err := s.p.GetBlob(t.Context(), i, 0, -1)
			if err != nil {
				return err
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(got, body) {
				t.Errorf("direct %v: other bytes came", direct)
			}
			return err
		}
		if err := read(); err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"GET", "PUT"} {
			if through := log.has("method=" + method + " route=/v1/projects/{pid}/blobs/{id} outcome=ok"); through == direct {
				t.Errorf("direct %v: a %s of a blob came through the server: %v", direct, method, through)
			}
		}
		pid := s.p.ID()
		object := filepath.Join(g.Dir, s3test.Bucket, "p", hex.EncodeToString(pid[:]), hex.EncodeToString(i[:]))
		bad := bytes.Clone(body)
		bad[1000] ^= 1
		if err := os.WriteFile(object, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(); !errors.Is(err, api.ErrDamaged) {
			t.Errorf("direct %v: a damaged object: %v", direct, err)
		}
		s.p.Put(t, body)
		if err := read(); err != nil {
			t.Errorf("direct %v: after it was put again: %v", direct, err)
		}
		status := rawPost(t, s, "/v1/projects/"+pid.String()+"/blobs/"+i.String()+"/presign-get")
		if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[direct]; status != want {
			t.Errorf("direct %v: presign answers %d, want %d", direct, status, want)
		}
	}
}

func rawPost(t *testing.T, s *setup, path string) int {
	t.Helper()
	return connect(t, s.srv, s.owner).do(t, "POST", path, []byte(`{"size":0}`)).StatusCode
}

// TestCollectInBucket shows that a collection lists and deletes there too.
func TestCollectInBucket(t *testing.T) {
	s, _, _ := inBucket(t, true)
	c := &collector{setup: s, clock: &calendar{t: time.Now()}}
	c.p.Put(t, []byte("dead"))
	if r := c.collect(t, false); r.Marked == 0 || r.Deleted != 0 {
		t.Errorf("%+v", r)
	}
	have, err := c.p.Have(t.Context(), []id.ID{id.Of([]byte("dead"))})
	if err != nil || have[0] {
		t.Errorf("marked: have %v, %v", have, err)
	}
}
